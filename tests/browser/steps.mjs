// What the browser scripts share: facts, steps that say "step ok: ..." or "step failed: ...", Chromium with a home of its own.
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

export const facts = JSON.parse(readFileSync(process.argv[2], 'utf8'));
let failed = 0;

export async function step(name, action) {
  try {
    console.log(`step ok: ${name}${await action() ?? ''}`);
  } catch (e) {
    failed++;
    console.log(`step failed: ${name}: ${String(e.message).replaceAll('\n', ' ').slice(0, 900)}`);
  }
}

export function expect(ok, wanted, got) {
  if (!ok) throw new Error(`expected ${wanted}; got ${typeof got === 'string' ? got.slice(0, 600) : JSON.stringify(got).slice(0, 600)}`);
}

export function open(home, args = []) {
  return chromium.launchPersistentContext(home + '/profile', { executablePath: facts.chromium, headless: false, viewport: { width: 1200, height: 800 },
    env: { ...process.env, HOME: home }, args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--disable-popup-blocking', ...args] });
}

export const sleep = ms => new Promise(r => setTimeout(r, ms));

export function end() {
  process.exit(failed ? 1 : 0);
}

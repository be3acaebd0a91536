// A WebSocket in real Chromium, through the gateway: by the tool's own page, by a hostile page of another tool, and until a lock.
import { spawnSync } from 'node:child_process';
import dns from 'node:dns';
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const [lookup, lookupLater] = [dns.lookup, dns.promises.lookup];   // as in story.mjs
const here = name => /(^|\.)localhost\.?$/.test(name) ? '127.0.0.1' : name;
dns.lookup = (name, ...rest) => lookup(here(name), ...rest);
dns.promises.lookup = (name, ...rest) => lookupLater(here(name), ...rest);

const facts = JSON.parse(readFileSync(process.argv[2], 'utf8'));
let failed = 0;

async function step(name, action) {
  try {
    console.log(`step ok: ${name}${await action() ?? ''}`);
  } catch (e) {
    failed++;
    console.log(`step failed: ${name}: ${String(e.message).replaceAll('\n', ' ').slice(0, 600)}`);
  }
}

function expect(ok, wanted, got) {
  if (!ok) throw new Error(`expected ${wanted}; got ${String(got).slice(0, 300)}`);
}

// In the page: open, send each message, hear each back, close; what happened.
const talk = ([url, code]) => new Promise(done => {
  const out = { extensions: null, heard: [], code: null, error: false };
  const ws = new WebSocket(url);
  ws.binaryType = 'arraybuffer';
  const bytes = n => Uint8Array.from({ length: n }, (_, i) => i * 7 & 255);
  const messages = ['hello', '', 'Grüße '.repeat(5000), bytes(10), bytes(1_000_000)];
  ws.onopen = () => { out.extensions = ws.extensions; messages.forEach(m => ws.send(m)); };
  ws.onmessage = e => {
    const sent = messages[out.heard.length];
    out.heard.push(typeof sent === 'string' ? e.data === sent : new Uint8Array(e.data).every((b, i, all) => b === sent[i] && all.length === sent.length));
    if (out.heard.length === messages.length) ws.close(code, 'done');
  };
  ws.onerror = () => { out.error = true; };
  ws.onclose = e => { out.code = e.code; out.reason = e.reason; out.clean = e.wasClean; done(out); };
});

const browser = await chromium.launch({ executablePath: facts.chromium, args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
const cred = facts.people.alice;
const context = await browser.newContext({ ignoreHTTPSErrors: true,
  clientCertificates: [facts.console, facts.tool, facts.other].map(origin => ({ origin, certPath: cred.cert, keyPath: cred.key })) });
const page = await context.newPage(), other = await context.newPage();
const socket = facts.tool.replace('https:', 'wss:') + '/socket';

await step('a page of the tool opens a WebSocket and hears every message back', async () => {
  await page.goto(facts.tool + '/');
  const out = await page.evaluate(talk, [socket, 3123]);
  expect(out.heard.length === 5 && out.heard.every(Boolean) && out.code === 3123 && out.clean, '5 messages and code 3123', JSON.stringify(out));
  expect(out.extensions.startsWith('permessage-deflate'), 'compression', out.extensions);
  return `: ${out.extensions}, closed with ${out.code}`;
});

await step('a page of another tool may not', async () => {
  await other.goto(facts.other + '/');
  const out = await other.evaluate(talk, [socket, 3123]);
  expect(out.error && out.heard.length === 0 && out.code === 1006, 'a refusal', JSON.stringify(out));
});

await step('a lock ends an open WebSocket', async () => {
  await page.evaluate(url => new Promise((ok, no) => {
    const ws = new WebSocket(url);
    ws.onopen = ok;
    ws.onerror = no;
    window.ended = new Promise(done => { ws.onclose = e => done({ code: e.code, at: performance.now() }); });
  }), socket);
  await new Promise(r => setTimeout(r, 500));
  const begun = await page.evaluate(() => performance.now());
  const p = spawnSync(facts.countersign, ['lock', 'person', 'alice', '--reason', 'the laptop was stolen'], { encoding: 'utf8', timeout: 60000,
    env: { ...process.env, ...facts.env, COUNTERSIGN_GATEWAY: facts.console, COUNTERSIGN_CERT: facts.people.olga.cert, COUNTERSIGN_KEY: facts.people.olga.key,
      COUNTERSIGN_CA: facts.ca } });
  expect(p.status === 0, 'the lock to succeed', p.stdout + p.stderr);
  const end = await page.evaluate(() => Promise.race([window.ended, new Promise(r => setTimeout(r, 10000, { code: 'still open' }))]));
  expect(end.code === 1008 || end.code === 1006, 'an end', JSON.stringify(end));
  return `: code ${end.code}, ${Math.round(end.at - begun)} ms after the command began`;
});

await browser.close();
process.exit(failed ? 1 : 0);

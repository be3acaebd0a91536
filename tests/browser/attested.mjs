// A gateway that takes keys only that their maker vouches for: what Chromium hands over is refused, and the page says why. Its virtual authenticators make up
// a maker for each key, which nobody can pin; tests/scenarios/test_attested_keys.py has one that is pinned.
import dns from 'node:dns';
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const [lookup, lookupLater] = [dns.lookup, dns.promises.lookup];
const here = name => /(^|\.)localhost\.?$/.test(name) ? '127.0.0.1' : name;
dns.lookup = (name, ...rest) => lookup(here(name), ...rest);
dns.promises.lookup = (name, ...rest) => lookupLater(here(name), ...rest);

const facts = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const browser = await chromium.launch({ executablePath: facts.chromium, args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync', '--ignore-certificate-errors'] });
const context = await browser.newContext({ ignoreHTTPSErrors: true, clientCertificates: [{ origin: facts.console, certPath: facts.cert, keyPath: facts.key }] });
const page = await context.newPage();
page.setDefaultTimeout(30000);
const cdp = await page.context().newCDPSession(page);
await cdp.send('WebAuthn.enable');
await cdp.send('WebAuthn.addVirtualAuthenticator', { options: { protocol: 'ctap2', transport: 'usb', hasResidentKey: true, hasUserVerification: true, isUserVerified: true,
  automaticPresenceSimulation: true } });

let failed = 0;
async function step(name, action) {
  try {
    await action();
    console.log(`step ok: ${name}`);
  } catch (e) {
    failed++;
    console.log(`step failed: ${name}: ${String(e.message).replaceAll('\n', ' ').slice(0, 500)}`);
  }
}

await step('a key whose maker nobody pinned is refused, and the page says why', async () => {
  let handed = '';
  page.on('request', r => { if (r.method() === 'POST' && r.url().endsWith('/api/v1/keys')) handed = r.postDataJSON().attestation; });
  await page.goto(facts.console + '/keys');
  await page.fill('#label', 'blue key ring');
  await page.getByRole('button', { name: 'Make a key' }).click();
  const said = page.locator('[role=status]', { hasText: 'This gateway takes keys only that their maker vouches for' }).first();
  await said.waitFor();
  const format = /fmt([dfh]?)(none|packed|fido-u2f)/.exec(Buffer.from(handed, 'base64url').toString('latin1').replace(/[^ -~]/g, ''));
  console.log(`Chromium's format: ${format?.[2]}; the page: ${await said.innerText()}`);
});

await step('and nothing waits for anybody', async () => {
  await page.goto(facts.console + '/keys');
  if (/key_[A-Za-z0-9_-]{22}/.test(await page.content())) throw new Error('a key is listed');
});

await browser.close();
process.exit(failed ? 1 : 0);

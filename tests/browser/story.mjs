// The whole story in real Chromium with alice's certificate. Facts come in as JSON on the command line; each step prints
// "step ok: ..." or "step failed: ..."; pictures go to the output folder.
import { spawnSync } from 'node:child_process';
import dns from 'node:dns';
import { mkdirSync, readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

// Names under .localhost are this machine (RFC 6761): browsers know it, the C library asks a name server. Playwright presents client
// certificates from this process, so it looks names up here.
const [lookup, lookupLater] = [dns.lookup, dns.promises.lookup];
const here = name => /(^|\.)localhost\.?$/.test(name) ? '127.0.0.1' : name;
dns.lookup = (name, ...rest) => lookup(here(name), ...rest);
dns.promises.lookup = (name, ...rest) => lookupLater(here(name), ...rest);

const facts = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const PATIENCE = 30000;
let failed = 0, picture = 0;
mkdirSync(facts.output, { recursive: true });

function expect(ok, wanted, got) {
  if (!ok) throw new Error(`expected ${wanted}; got ${String(got).slice(0, 300)}`);
}

async function step(name, page, action) {
  try {
    await action();
    console.log(`step ok: ${name}`);
  } catch (e) {
    failed++;
    console.log(`step failed: ${name}: ${String(e.message).replaceAll('\n', ' ').slice(0, 600)}`);
  }
  picture++;
  const file = `${facts.output}/${String(picture).padStart(2, '0')}-${name.replace(/[^a-z0-9]+/gi, '-').toLowerCase().slice(0, 60)}.png`;
  await page.screenshot({ path: file, fullPage: true }).catch(() => {});
}

function countersign(who, ...args) {
  const cred = facts.people[who];
  const p = spawnSync(facts.countersign, args, { encoding: 'utf8', timeout: 60000, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...facts.env,
    COUNTERSIGN_GATEWAY: facts.console, COUNTERSIGN_CERT: cred.cert, COUNTERSIGN_KEY: cred.key, COUNTERSIGN_CA: facts.ca } });
  expect(p.status === 0, `\`countersign ${args.join(' ')}\` by ${who} to succeed`, `exit ${p.status}: ${p.stdout}${p.stderr}`);
  return p.stdout;
}

const browser = await chromium.launch({ executablePath: facts.chromium, args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'] });

function contextOf(who) {
  const cred = who && facts.people[who];
  const certificates = cred ? [facts.console, facts.tool].map(origin => ({ origin, certPath: cred.cert, keyPath: cred.key })) : undefined;
  return browser.newContext({ ignoreHTTPSErrors: true, acceptDownloads: true, clientCertificates: certificates, viewport: { width: 1200, height: 800 } });
}

async function text(page) {
  return (await page.locator('body').innerText()).replace(/\s+/g, ' ');
}

// Until the page at this address shows the words; the grant and the sign-off reach the gateway's workers within moments.
async function until(page, url, words) {
  for (const end = Date.now() + PATIENCE; ;) {
    await page.goto(url);
    const shown = await text(page);
    if (words.test(shown)) return shown;
    expect(Date.now() < end, `a page with ${words}`, shown);
    await page.waitForTimeout(200);
  }
}

const stranger = await (await contextOf(null)).newPage();
await step('without a certificate a page says what is wrong', stranger, async () => {
  const r = await stranger.goto(facts.tool + '/admin/');
  expect(r.status() === 403 || r.status() === 401, 'a refusal', r.status());
  expect(/certificate/i.test(await text(stranger)), 'a page about the certificate', await text(stranger));
});

const alice = await contextOf('alice');
const page = await alice.newPage();
page.setDefaultTimeout(PATIENCE);
const violations = [];
page.on('console', m => { if (/Content Security Policy|Refused to/i.test(m.text())) violations.push(m.text()); });

await step('without a grant alice is told how to ask', page, async () => {
  const r = await page.goto(facts.tool + '/admin/');
  expect(r.status() === 403, '403', r.status());
  expect(/ask|request/i.test(await text(page)), 'a page that says how to ask', await text(page));
});

let request;
await step('alice asks on the console, with a reason', page, async () => {
  await page.goto(facts.console + '/');
  expect(/alice/.test(await text(page)), 'a greeting', await text(page));
  await page.selectOption('select[name=tool]', 'support');
  await page.fill('[name=reason]', 'ticket 4711: newsletter of Amber Bakery was not sent');
  await page.fill('[name=minutes]', '30');
  await page.getByRole('button', { name: 'Ask' }).click();
  await page.waitForLoadState();
  request = (await text(page)).match(/req_[A-Za-z0-9_-]{22}/)?.[0];
  expect(request, 'the request on the page', await text(page));
});

await step('bob sees it on his console and approves with his key', page, async () => {
  const bob = await (await contextOf('bob')).newPage();
  await bob.goto(facts.console + '/');
  expect((await text(bob)).includes(request), "alice's request", await text(bob));
  countersign('bob', 'approve', request, '--yes');
  await bob.context().close();
});

await step('before the first page alice is told that the session is recorded', page, async () => {
  await until(page, facts.tool + '/admin/', /recorded/i);
  expect(new URL(page.url()).origin === facts.console, 'the notice on the console', page.url());
});

await step("she goes on to Django's own admin, logged in as herself", page, async () => {
  await page.getByRole('button').first().click();
  await page.waitForLoadState();
  for (const end = Date.now() + PATIENCE; !/Acme Mail support/i.test(await text(page)); await page.waitForTimeout(200)) {
    expect(Date.now() < end, "Django's admin", `${page.url()}: ${await text(page)}`);
    await page.goto(facts.tool + '/admin/');
  }
  expect(new URL(page.url()).origin === facts.tool && page.url().includes('/admin/'), 'the admin on the tool', page.url());
  expect((await text(page)).toLowerCase().includes(facts.identity), 'her name', await text(page));
});

await step('she lists the customers', page, async () => {
  await page.locator('#content a[href="/admin/support/customer/"]').first().click();
  await page.waitForLoadState();
  expect(/Amber Bakery/.test(await text(page)), 'Amber Bakery', await text(page));
});

await step('and changes a customer by a form', page, async () => {
  await page.getByRole('link', { name: 'Amber Bakery' }).first().click();
  await page.waitForLoadState();
  await page.locator('input[name=_save]').first().click();
  await page.waitForLoadState();
  expect(/changed successfully/.test(await text(page)), 'the change', await text(page));
});

async function exportAudience() {
  await page.goto(facts.tool + '/admin/support/audience/');
  await page.locator('input[name=_selected_action]').first().check();
  await page.selectOption('select[name=action]', 'export_csv');
  await page.getByRole('button', { name: 'Go' }).click();
  await page.waitForLoadState();
  const shown = await text(page);
  const held = ((await page.content()).match(/hld_[A-Za-z0-9_-]{22}/) ?? [])[0];
  expect(held && /held/i.test(shown), 'the held page', shown);
  return held;
}

let held;
await step('the export is held, and the page says what happens next', page, async () => {
  held = await exportAudience();
  await page.getByRole('link', { name: /release/i }).first().click();
  await page.waitForLoadState();
  expect(page.url() === `${facts.console}/held/${held}`, "the held request's page on the console", page.url());
  expect(await page.getByRole('button').count() === 0, 'no button before the sign-off', await text(page));
});

await step('carol signs it off by command line, seeing the exact request', page, async () => {
  const shown = countersign('carol', 'approve', held, '--yes');
  expect(/export_csv/.test(shown), 'the form fields', shown);
  await until(page, `${facts.console}/held/${held}`, /run/i);
});

await step('alice releases it on the console, and the contacts arrive', page, async () => {
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button').first().click()]);
  const csv = readFileSync(await download.path(), 'utf8');
  await download.saveAs(`${facts.output}/contacts.csv`);
  expect(csv.startsWith('customer,audience,email') && csv.split('\n').length > 5, 'the contacts', csv);
});

await step('the release cannot be repeated', page, async () => {
  const shown = await until(page, `${facts.console}/held/${held}`, /released|answered/i);
  expect(await page.getByRole('button').count() === 0, 'no button after the release', shown);
});

await step('the same export again is a new held request', page, async () => {
  const again = await exportAudience();
  expect(again !== held, 'another id', again);
});

await step('nothing in the pages broke a content security policy', page, async () => {
  expect(violations.length === 0, 'no violation', violations.join(' | '));
});

await step('olga locks alice, and the open page is out', page, async () => {
  countersign('olga', 'lock', 'person', 'alice', '--reason', 'phished this morning');
  for (const end = Date.now() + PATIENCE; ; await page.waitForTimeout(200)) {
    const r = await page.goto(facts.tool + '/admin/support/customer/').catch(() => null);
    if (r && r.status() === 403 && /lock/i.test(await text(page))) break;
    expect(Date.now() < end, 'the lock', r && r.status());
  }
});

await browser.close();
process.exit(failed ? 1 : 0);

// Every page in each of its states, seen as people see it: a picture, axe-core's rules (WCAG 2.2 A and AA), nothing wider than the window, each stop of the keyboard visible.
// A page's policy allows no foreign script, so axe-core is run past it (page.evaluate), and the policy stays as it is.
import dns from 'node:dns';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const [lookup, lookupLater] = [dns.lookup, dns.promises.lookup];
const here = name => /(^|\.)localhost\.?$/.test(name) ? '127.0.0.1' : name;
dns.lookup = (name, ...rest) => lookup(here(name), ...rest);
dns.promises.lookup = (name, ...rest) => lookupLater(here(name), ...rest);

const facts = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const RULES = { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] };
const VIEWS = {                       // at 200 % a window of 1200 pixels is 600 wide
  light: { viewport: { width: 1200, height: 900 } }, dark: { viewport: { width: 1200, height: 900 }, colorScheme: 'dark' },
  phone: { viewport: { width: 390, height: 800 }, deviceScaleFactor: 2, isMobile: false }, double: { viewport: { width: 600, height: 450 }, deviceScaleFactor: 2 },
  narrow: { viewport: { width: 320, height: 640 } },     // WCAG 1.4.10
};
mkdirSync(facts.output, { recursive: true });
const browser = await chromium.launch({ executablePath: facts.chromium, args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--ignore-certificate-errors'] });
let failed = 0;

async function step(name, action) {
  const wrong = await action().catch(e => [String(e.message).replaceAll('\n', ' ').slice(0, 500)]);
  failed += wrong.length > 0;
  console.log(wrong.length > 0 ? `step failed: ${name}: ${wrong.join('; ').slice(0, 900)}` : `step ok: ${name}`);
}

const contexts = new Map();
async function context(who, view, more = {}) {
  const id = `${who} ${view}`, cred = facts.people[who];
  if (!contexts.has(id)) {
    const clientCertificates = cred ? [facts.console, facts.tool].map(origin => ({ origin, certPath: cred.cert, keyPath: cred.key })) : [];
    contexts.set(id, await browser.newContext({ ignoreHTTPSErrors: true, clientCertificates, ...VIEWS[view], ...more }));
  }
  return contexts.get(id);
}

// What the policy of a page refuses is a fault of the page.
function listen(page, wrong) {
  page.on('console', m => { if (/Content Security Policy|Refused to|TrustedHTML/i.test(m.text())) wrong.push(m.text().slice(0, 200)); });
  page.on('pageerror', e => wrong.push(String(e)));
}

async function axe(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(rules => globalThis.axe.run(document, rules), RULES);
  return violations.map(v => `${v.id} (${v.help}): ${v.nodes.slice(0, 3).map(n => n.html.slice(0, 120)).join(' | ')}`);
}

const tooWide = page => page.evaluate(() => {
  if (document.documentElement.scrollWidth <= document.documentElement.clientWidth) return [];
  const out = [...document.body.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80));
  return [`wider than the window: ${out.slice(0, 3).join(' | ')}`];
});

// Tab from the top: every link, button and field gets its turn, and shows that it has it.
async function keyboard(page) {
  const wanted = await page.evaluate(() => {
    document.activeElement?.blur();
    return [...document.querySelectorAll('a[href],button,input:not([type=hidden]),select,textarea,summary')].filter(e => !e.disabled && e.checkVisibility() && e.tabIndex >= 0).length;
  });
  const seen = await page.evaluate(() => { globalThis.__seen = new Set(); return 0; });
  let stops = seen;
  for (let i = 0; i < wanted + 3; i++) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => {
      const e = document.activeElement;
      if (!e || e === document.body || globalThis.__seen.has(e)) return null;
      globalThis.__seen.add(e);
      const style = getComputedStyle(e);
      return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 ? 'seen' : e.outerHTML.slice(0, 100);
    });
    if (at === null) continue;
    stops++;
    if (at !== 'seen') return [`no visible focus: ${at}`];
  }
  return stops < wanted ? [`the keyboard reaches ${stops} of ${wanted}`] : [];
}

for (const [who, name, address] of facts.pages)
  await step(`${name}, by ${who ?? 'nobody'}`, async () => {
    const wrong = [];
    for (const view of Object.keys(VIEWS)) {
      const page = await (await context(who, view)).newPage();
      listen(page, wrong);
      await page.goto(address, { waitUntil: 'load' });
      if (name === 'replay') await page.waitForTimeout(1500);
      await page.screenshot({ path: `${facts.output}/${name}-${view}.png`, fullPage: true });
      wrong.push(...(await tooWide(page)).map(w => `${view}: ${w}`));
      if (view === 'light' || view === 'dark' || view === 'phone') wrong.push(...(await axe(page)).map(w => `${view}: ${w}`));
      if (view === 'light') {
        await page.evaluate(() => document.querySelectorAll('details').forEach(d => { d.open = true; }));
        wrong.push(...(await axe(page)).map(w => `opened: ${w}`), ...await keyboard(page));
        await page.screenshot({ path: `${facts.output}/${name}-opened.png`, fullPage: true });
      }
      await page.close();
    }
    return wrong;
  });

const home = facts.pages.find(p => p[1] === 'home')[2];
const live = page => page.locator('[data-look]');
await step('times stand in the reader\'s own time zone, and UTC is kept', async () => {
  const page = await (await context('alice', 'light', {})).newPage(), far = await browser.newContext({ ignoreHTTPSErrors: true, timezoneId: 'Asia/Tokyo', locale: 'en-GB',
    clientCertificates: [{ origin: facts.console, certPath: facts.people.alice.cert, keyPath: facts.people.alice.key }] });
  await page.close();
  const there = await far.newPage();
  await there.goto(home);
  const time = there.locator('time').first();
  const [says, utc] = [await time.textContent(), await time.getAttribute('title')];
  await far.close();
  return /GMT\+9|JST/.test(says) && / UTC$/.test(utc) ? [] : [`${says} / ${utc}`];
});

await step('a page that waits shows by itself what has changed', async () => {
  const held = facts.pages.find(p => p[1] === 'held-waits')[2], wrong = [];
  const page = await (await context('alice', 'light')).newPage();
  await page.goto(held);
  await page.evaluate(() => { document.querySelector('[data-watch]').dataset.state = 'before'; });
  await page.waitForFunction(() => document.querySelector('[data-watch]').dataset.state !== 'before', null, { timeout: 30000 });
  await page.goto(home);
  await page.fill('#reason', 'typed already');
  await page.evaluate(() => { document.querySelector('[data-watch]').dataset.state = 'before'; });
  await live(page).getByText('Something here has changed').waitFor({ timeout: 30000 });
  if (await page.inputValue('#reason') !== 'typed already') wrong.push('what was typed is gone');
  await page.screenshot({ path: `${facts.output}/changed.png`, fullPage: true });
  wrong.push(...await axe(page));
  await page.close();
  return wrong;
});

await step('a lost network is said, and nothing is signed or lost', async () => {
  const wrong = [], page = await (await context('carol', 'light')).newPage();
  await page.goto(facts.pages.find(p => p[1] === 'decide')[2]);
  await page.route('**/api/**', route => route.abort());
  await page.getByRole('button', { name: 'Yes, sign it' }).click();
  await page.getByText('The gateway does not answer, so nothing was signed').waitFor({ timeout: 30000 });
  await live(page).getByText('may be out of date').waitFor({ timeout: 30000 });
  await page.screenshot({ path: `${facts.output}/network-lost.png`, fullPage: true });
  wrong.push(...await axe(page));
  await page.unroute('**/api/**');
  await live(page).getByText('may be out of date').waitFor({ state: 'detached', timeout: 30000 });
  await page.close();
  return wrong;
});

await browser.close();
process.exit(failed ? 1 : 0);

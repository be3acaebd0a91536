// The player of DOM recordings, in a browser that has no certificate: it draws what alice's browser told, and nothing of it runs, is loaded or leaves.
import { mkdirSync } from 'node:fs';
import { end, expect, facts, open, sleep, step } from './steps.mjs';

mkdirSync(facts.home, { recursive: true });
const context = await open(facts.home), page = await context.newPage(), asked = [], errors = [];
context.setDefaultTimeout(45000);
// What the policy stops is a request that never was (net::ERR_BLOCKED_BY_CSP), but the driver tells of it.
const stopped = new Set();
context.on('request', r => asked.push(r.url()));
context.on('requestfailed', r => /csp|BLOCKED_BY_CSP/i.test(r.failure()?.errorText ?? '') && stopped.add(r.url()));
page.on('pageerror', e => errors.push(e.message));
page.on('console', m => m.type() === 'error' && !/Content Security Policy|violates|Blocked script execution|favicon/.test(m.text() + m.location().url) && errors.push(m.text() + ' ' + m.location().url));
const ours = u => /^(data:|blob:|about:)/.test(u) || /^http:\/\/127\.0\.0\.1:\d+\//.test(u) && !u.includes(`:${facts.tcp}`) || /^http:\/\/[depd]\d+-[0-9a-f]{32}\.localhost:\d+\//.test(u);
const player = () => page.frames().find(f => /^http:\/\/d\d+-/.test(f.url()));
const drawn = () => player()?.frameLocator('#stage iframe').locator('body');
async function until(what, test) {
  for (const last = Date.now() + 30000; ; await sleep(100)) {
    const got = await Promise.resolve().then(test).catch(e => e.message);
    if (got === true) return;
    expect(Date.now() < last, what, got);
  }
}
async function watch(name) {
  await page.locator('#list button.page', { hasText: name }).last().click();
  await page.click('#told');
  await until('the player', async () => (await player()?.locator('.replayer-wrapper iframe').count()) === 1);
}

await step('a page says that its screen was recorded, and shows it as the browser told it', async () => {
  await page.goto(facts.addresses.support);
  await watch('Amber Bakery');
  await until('the page', async () => /Amber Bakery|Change customer/.test(await drawn().innerText()) || await drawn().innerText());
  expect(/The browser.s claim/.test(await player().locator('body').innerText()), 'the label', '');
  await page.screenshot({ path: `${facts.output}/replay-begin.png` });
});

await step('it plays, pauses, goes faster, and goes where it is told; what was typed is stars', async () => {
  const f = player(), total = Number(await f.locator('#seek').getAttribute('max'));
  expect(total > 2000, 'a few seconds', String(total));
  await f.locator('#speed').selectOption('4');
  await f.locator('#play').click();
  await until('it moves', async () => Number(await f.locator('#seek').inputValue()) > 0);
  await f.locator('#play').click();
  expect(await f.locator('#play').getAttribute('aria-pressed') === 'false', 'paused', '');
  let stars = false, open = false;
  for (let at = 0; at <= total; at += Math.max(100, total / 60)) {
    await f.locator('#seek').evaluate((e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }, at);
    const values = await f.frameLocator('#stage iframe').locator('input').evaluateAll(list => list.map(e => e.value));
    stars ||= values.includes('*'.repeat('typed-and-secret'.length));
    open ||= values.includes('typed-in-the-open');
    expect(!values.some(v => /secret|pass-w0rd/.test(v)), 'nothing that was typed', values);
    if (stars && open) break;
  }
  expect(stars && open, 'stars, and the field that the policy names', { stars, open });
  await page.screenshot({ path: `${facts.output}/replay-typed.png` });
  await f.locator('#play').click();
  await until('its end', async () => Number(await f.locator('#seek').inputValue()) >= total - 200 || await f.locator('#seek').inputValue());
});

await step('back at what the gateway saw', async () => {
  await page.click('#told');
  await until('the recorded page', () => page.frames().some(f => /^http:\/\/e\d+-/.test(f.url())) && !player());
});

await step('on a phone, and in the dark', async () => {
  await page.click('#told');
  await until('the player', async () => (await player()?.locator('.replayer-wrapper iframe').count()) === 1);
  await page.setViewportSize({ width: 390, height: 780 });
  await page.emulateMedia({ colorScheme: 'dark' });
  await sleep(500);
  await page.screenshot({ path: `${facts.output}/replay-phone-dark.png` });
  await page.setViewportSize({ width: 1200, height: 800 });
  await page.emulateMedia({ colorScheme: 'light' });
  expect(errors.length === 0, 'no error', errors);
});

await step('a hostile page: drawn, and nothing of it runs or leaves', async () => {
  await page.goto(facts.addresses.hostile);
  for (const row of await page.locator('#list button.page').all()) {
    await row.click();
    if (!await page.locator('#told').isVisible()) continue;
    if (await page.locator('#told').getAttribute('aria-pressed') === 'false') await page.click('#told');
    await sleep(1500);
    const f = player();
    if (!f) continue;
    for (const doc of await f.locator('#doc option').evaluateAll(o => o.map(x => x.value))) {
      if (await f.locator('#loadings').isVisible()) await f.locator('#doc').selectOption(doc);
      await sleep(800);
      if (await f.locator('#play').isEnabled()) await f.locator('#play').click().catch(() => {});
      await sleep(800);
    }
  }
  await page.screenshot({ path: `${facts.output}/replay-hostile.png` });
  const left = asked.filter(u => !ours(u) && !stopped.has(u));
  expect(left.length === 0, 'no request but to the replay itself', left);
});

await step('nobody opens the player but the viewer', async () => {
  const url = asked.find(u => /^http:\/\/d\d+-[0-9a-f]{32}\.localhost:\d+\/$/.test(u)), other = await context.newPage();
  const r = await other.goto(url);
  expect(r.status() === 403, '403 in a tab of its own', String(r.status()));
  const wrong = await other.goto(url.replace(/-[0-9a-f]{32}/, '-' + '0'.repeat(32)));
  expect(wrong.status() === 421, '421 without the token', String(wrong.status()));
});
await context.close();
end();

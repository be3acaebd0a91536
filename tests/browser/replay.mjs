// Watching recordings: do pages look as they did, does nothing leave, and does nothing of a page reach the viewer?
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { end, expect, facts, open, sleep, step } from './steps.mjs';

const WIDTH = 1200, HEIGHT = 800, PATIENCE = 30000;
const context = await open(facts.home);
context.setDefaultTimeout(PATIENCE);
const asked = [];
context.on('request', r => asked.push(r.url()));
let page = await context.newPage();
const compare = await context.newPage(), errors = [], tabs = context.pages().length;
await page.setViewportSize({ width: 1700, height: 1150 });
page.on('pageerror', e => errors.push(e.message));
const { addresses } = facts;

async function until(what, test) {
  for (const end = Date.now() + PATIENCE; ; await sleep(100)) {
    const got = await test().catch(e => e.message);
    if (got === true) return;
    expect(Date.now() < end, what, got);
  }
}
const inside = () => page.frames().find(f => f.parentFrame() === page.mainFrame());
const text = () => inside().locator('body').innerText();
const rows = () => page.locator('#list button[data-row]');

async function watch(name, words) {
  await page.goto('about:blank');
  await page.goto(addresses[name]);
  await until('the timeline', async () => await rows().count() > 0 || await page.locator('body').innerText());
  if (words) await openPage(words);
}

// The recorded page at the size that the person's browser had, beside the picture of that moment: the share of pixels that differ visibly.
async function difference(name) {
  await page.evaluate(([w, h]) => { Object.assign(document.querySelector('iframe').style, { position: 'fixed', inset: '0 auto auto 0', width: w + 'px', height: h + 'px', zIndex: 9 }); }, [WIDTH, HEIGHT]);
  await sleep(300);
  const now = await page.screenshot({ path: `${facts.output}/replayed-${name}.png`, clip: { x: 0, y: 0, width: WIDTH, height: HEIGHT } }), then = readFileSync(`${facts.output}/live-${name}.png`);
  await page.evaluate(() => document.querySelector('iframe').removeAttribute('style'));
  return compare.evaluate(async pictures => {
    const [a, b] = await Promise.all(pictures.map(async p => {
      const image = await createImageBitmap(await (await fetch('data:image/png;base64,' + p)).blob()), c = new OffscreenCanvas(image.width, image.height).getContext('2d');
      c.drawImage(image, 0, 0);
      return c.getImageData(0, 0, image.width, image.height);
    }));
    let differ = 0;
    for (let i = 0; i < a.data.length; i += 4) differ += Math.max(...[0, 1, 2].map(k => Math.abs(a.data[i + k] - b.data[i + k]))) > 48;
    return a.width === b.width && a.height === b.height ? differ / (a.width * a.height) : 1;
  }, [now.toString('base64'), then.toString('base64')]);
}

async function looksAlike(name, most = 0.004) {
  let share = 1;
  for (const end = Date.now() + PATIENCE; share > most && Date.now() < end; await sleep(300)) share = await difference(name);
  expect(share <= most, `at most ${most} of the pixels of ${name} to differ`, share);
  return `: ${(share * 100).toFixed(2)} % of the pixels differ`;
}

const ADMIN = /GET \/admin\/ ·/, CUSTOMERS = /GET \/admin\/support\/customer\/ ·/;
const openPage = async words => {
  await rows().filter({ hasText: words }).last().click();
  await until('the page in its frame', async () => Boolean(inside()) && (await inside().url()).includes('.localhost') && await inside().evaluate(() => document.readyState) !== 'loading');
};
const picture = async name => {
  await sleep(500);
  await page.screenshot({ path: `${facts.output}/viewer-${name}.png` });
};

await step('the address opens the session, and the key does not stay in it', async () => {
  await watch('support');
  expect(page.url().endsWith('/'), 'no key in the address', page.url());
  await page.reload();
  await until('the timeline again', async () => await rows().count() > 0);
});

for (const [name, words] of [['admin', ADMIN], ['customers', CUSTOMERS], ['customer', /GET .*\/change\/ ·/], ['changed', CUSTOMERS], ['held', 'POST /admin/support/audience']])
  await step(`the Django admin's page "${name}" looks as it did`, async () => {
    const found = rows().filter({ hasText: words });
    await (name === 'customers' ? found.first() : found.last()).click();
    await sleep(700);
    return looksAlike(name);
  });

await step('a link in a recorded page leads to the page that the person opened then, and the timeline follows', async () => {
  await openPage(CUSTOMERS);
  await until('the link', async () => await inside().locator('a', { hasText: 'Amber Bakery' }).count() > 0);
  await inside().locator('a', { hasText: 'Amber Bakery' }).first().evaluate(a => a.click());
  await until('the customer', async () => /change\/$/.test(await page.locator('#address').innerText()) || await page.locator('#address').innerText());
  await until('its frame', async () => await inside().locator('a', { hasText: 'History' }).count() > 0 && await inside().evaluate(() => document.readyState) === 'complete');
  await inside().locator('a', { hasText: 'History' }).first().evaluate(a => a.click());
  await until('a page that says that it was not recorded', async () => /Not recorded/.test(await text()) || await text());
});

await step('with scripts off the page stands as it was sent', async () => {
  await openPage(ADMIN);
  await page.locator('#scripts').uncheck();
  await until('a frame without scripts', async () => await page.locator('iframe').getAttribute('sandbox') === '' && /Acme Mail/i.test(await text()) || await text());
  const share = await looksAlike('admin', 0.01);
  await page.locator('#scripts').check();
  return share;
});

await step('the viewer in light and dark, at a desk and on a phone; keys', async () => {
  await openPage(CUSTOMERS);
  await sleep(500);
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width: 1400, height: 900 });
    await picture(`desk-${scheme}`);
    await page.setViewportSize({ width: 390, height: 800 });
    for (const tab of ['Timeline', 'Page']) {
      await page.locator('[data-tab]', { hasText: tab }).click();
      await picture(`phone-${tab.toLowerCase()}-${scheme}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      expect(wide <= 390, 'nothing wider than the phone', wide);
    }
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 1700, height: 1150 });
  await page.locator('#list button').first().focus();
  const before = await page.locator('#title').innerText();
  await page.keyboard.press('ArrowRight');
  await until('another page', async () => await page.locator('#title').innerText() !== before);
  await page.keyboard.press('/');
  await page.keyboard.type('export_csv held');
  await page.keyboard.press('Escape');
  await page.keyboard.press('?');
  expect(await page.locator('dialog').isVisible(), 'the help', '');
  await page.keyboard.press('Escape');
});

await step('the search and the filters find what was held, with its sign-off', async () => {
  await page.locator('#chips button', { hasText: 'Sign-offs' }).click();
  await until('the held export', async () => await rows().filter({ hasText: 'POST /admin/support/audience' }).count() === 1 || (await rows().allInnerTexts()).join('|'));
  await page.locator('#chips button', { hasText: 'Sign-offs' }).click();
  await page.fill('#search', 'post customer');
  await until('the change', async () => await rows().count() >= 1 && (await rows().allInnerTexts()).every(t => /POST .*customer/i.test(t)) || (await rows().allInnerTexts()).join('|'));
  await rows().first().click();
  await until('its details', async () => /csrfmiddlewaretoken=removed/.test(await page.locator('#details').innerText()) || await page.locator('#details').innerText());
  expect(await page.locator('#details mark').count() > 0, 'what was removed to be marked', '');
  await picture('details');
  await page.fill('#search', '');
});

await step('a single-page application runs from the recording: modules, fetch, history, storage, an event stream, polls, the clock', async () => {
  await watch('spa', /GET \/ ·/);
  await until('what it draws', async () => /Cedar/.test(await text()) && /status 4, events one two three/.test(await text()) || await text());
  const share = await looksAlike('spa');
  await inside().locator('text=/archive').click();
  await inside().locator('#add').click();
  await until('the row that came then', async () => /Orders at \/archive/.test(await text()) && /Amber/.test(await text()) || await text());
  await picture('spa');
  return share;
});

await step('polls and the event stream are in the timeline', async () => {
  await page.fill('#search', 'api/status');
  await until('one row for all polls', async () => await rows().count() === 1 && /4 ×/.test(await rows().first().innerText()) || (await rows().allInnerTexts()).join('|'));
  await page.fill('#search', 'event-stream');
  await until('the stream', async () => /3 events/.test((await rows().allInnerTexts()).join('|')) || (await rows().allInnerTexts()).join('|'));
  await page.fill('#search', '');
});

await step('a WebSocket says again what it said', async () => {
  await watch('chat', /GET \/ ·/);
  await until('the words', async () => (await text()).match(/hello from here/g)?.length === 1 || await text());
  const share = await looksAlike('chat');
  await rows().filter({ hasText: 'messages' }).first().click();
  await until('the messages', async () => /hello from here/.test(await page.locator('#details').innerText()) || await page.locator('#details').innerText());
  expect(!/hunter2/.test(await page.locator('#details').innerText()), 'no password', '');
  await picture('chat');
  return share;
});

await step('a hostile page gets nowhere', async () => {
  await watch('hostile', /GET \/\?tcp=\d+&udp=\d+ ·/);
  await until('its tries to be over', async () => await inside().evaluate(() => window.results?.done) === true || JSON.stringify(await inside().evaluate(() => window.results)));
  const results = await inside().evaluate(() => window.results);
  for (const [what, came] of Object.entries(results))
    if (!['form', 'rang', 'form in a new tab', 'image', 'script', 'style', 'frame', 'viewer in a frame', 'meta refresh', 'cookie', 'speculation', 'rtc', 'beacon', 'base', 'done'].includes(what))
      expect(/^stopped|^null$/.test(came), `"${what}" to be stopped`, came);
  expect(!results.base.startsWith('http://127'), 'no other base', results.base);
  expect(context.pages().length === tabs, 'no new tab', context.pages().length);
  expect(new URL(page.url()).pathname === '/' && await page.locator('#list').count() === 1, 'the viewer where it was', page.url());
  await sleep(3000);
  await picture('hostile');
  return `: ${Object.keys(results).length - 1} ways`;
});

await step('a page that leads its frame away is stopped, and that is said', async () => {
  await rows().filter({ hasText: 'leave' }).first().click();
  await until('the notice', async () => /tried to lead the browser/.test(await page.locator('#notices').innerText()) || await page.locator('#notices').innerText());
  await picture('led-away');
});

await step('no request left for anything but the two origins', async () => {
  const own = Object.values(addresses).map(a => new URL(a).host), stray = asked.filter(u => !/^(data|blob|about):/.test(u)).map(u => new URL(u)).filter(u => !own.includes(u.host)
    && !/^[ep]\d+-[0-9a-f]{32}\.localhost$/.test(u.hostname) && !(u.port === String(facts.tcp)));   // what the page tried is in the list, too; that it did not get out, its port tells
  expect(stray.length === 0, 'none', stray.slice(0, 5).map(String));
  expect(errors.length === 0, 'no error in the viewer', errors.slice(0, 3));
});

function ask(port, path, headers) {
  return new Promise((ok, no) => http.get({ host: '127.0.0.1', port, path, headers }, r => { let body = ''; r.on('data', d => { body += d; }); r.on('end', () => ok({ status: r.statusCode, body, headers: r.headers })); }).on('error', no));
}

await step('without the key, under another name, or from another page nobody gets anything', async () => {
  const u = new URL(addresses.support), key = u.hash.slice(1), own = { 'Countersign-Replay-Key': key };
  const good = await ask(u.port, '/api/session', own), content = JSON.parse(good.body).content, port = content.split(':')[1];
  expect(good.status === 200, '200 with the key', good.status);
  const dest = { 'Sec-Fetch-Dest': 'iframe', 'Sec-Fetch-Mode': 'navigate' };
  const tries = [['no key', u.port, '/api/session', {}, 403], ['a wrong key', u.port, '/api/session', { 'Countersign-Replay-Key': key.slice(0, -1) + (key.endsWith('A') ? 'B' : 'A') }, 403],
    ['a rebound name', u.port, '/api/session', { ...own, Host: `evil.example:${u.port}` }, 421], ['localhost', u.port, '/', { Host: `localhost:${u.port}` }, 421],
    ['another origin', u.port, '/api/session', { ...own, Origin: 'http://evil.example' }, 403], ['another site', u.port, '/api/session', { ...own, 'Sec-Fetch-Site': 'cross-site' }, 403],
    ['a page without its token', port, '/admin/', { Host: `127.0.0.1:${port}`, ...dest }, 421], ['a wrong token', port, '/admin/', { Host: `e1-${'0'.repeat(32)}.localhost:${port}`, ...dest }, 421],
    ['a page in a tab', port, '/admin/', { Host: `e1${content}`, 'Sec-Fetch-Dest': 'document', 'Sec-Fetch-Mode': 'navigate' }, 403], ['an old browser', port, '/admin/', { Host: `e1${content}` }, 403]];
  for (const [what, p, path, headers, status] of tries) {
    const r = await ask(p, path, headers);
    expect(r.status === status && !/Amber|alice/.test(r.body), `${status} for ${what}`, `${r.status} ${r.body.slice(0, 80)}`);
  }
  return `: ${tries.length} ways`;
});
// Chromium 156 ends a page that makes such a connection although its connection allowlist forbids it: that it got nowhere, the ports tell.
await step('no WebRTC either, made in a realm that our script never saw', async () => {
  page = await context.newPage();
  await watch('hostile');
  await rows().filter({ hasText: 'rtc' }).last().click();
  await sleep(5000);
});
await Promise.race([context.close(), sleep(5000)]);
end();

// Every way a page has to make a browser act elsewhere, from hostile pages, against a tool and the console that the person has access to. Each attack carries a mark of its
// own in the path, so that what reached the tool can be told apart. Controls do the same from the tool's own page, and must get through.
import { end, expect, facts, open, sleep, step } from './steps.mjs';

let context = await open(facts.home);
let page = await context.newPage();

// In the page. Each answers with what it could see, as text; a throw is a refusal.
const ways = {
  image: url => new Promise(r => { const e = new Image(); e.onload = () => r('loaded'); e.onerror = () => r('error'); e.src = url; }),
  script: url => new Promise(r => { const e = document.createElement('script'); e.onload = () => r('loaded'); e.onerror = () => r('error'); e.src = url; document.body.append(e); }),
  stylesheet: url => new Promise(r => { const e = document.createElement('link'); e.rel = 'stylesheet'; e.onload = () => r('loaded'); e.onerror = () => r('error'); e.href = url; document.head.append(e); }),
  prefetch: url => new Promise(r => { const e = document.createElement('link'); e.rel = 'prefetch'; e.href = url; document.head.append(e); setTimeout(r, 500, 'asked'); }),
  video: url => new Promise(r => { const e = document.createElement('video'); e.onloadeddata = () => r('loaded'); e.onerror = () => r('error'); e.src = url; document.body.append(e); }),
  object: url => new Promise(r => { const e = document.createElement('object'); e.onload = () => r('loaded'); e.onerror = () => r('error'); e.data = url; document.body.append(e); setTimeout(r, 1500, 'nothing'); }),
  embed: url => new Promise(r => { const e = document.createElement('embed'); e.type = 'text/html'; e.src = url; document.body.append(e); setTimeout(r, 1000, 'nothing'); }),
  iframe: url => new Promise(r => { const e = document.createElement('iframe'); e.onload = () => r('loaded'); e.src = url; document.body.append(e); setTimeout(r, 3000, 'nothing'); }),
  'fetch GET with credentials': async url => (await (await fetch(url, { credentials: 'include' })).text()),
  'fetch GET without': async url => (await (await fetch(url, { credentials: 'omit' })).text()),
  'fetch GET no-cors': async url => (await fetch(url, { mode: 'no-cors', credentials: 'include' })).type,
  'fetch POST no-cors': async url => (await fetch(url, { method: 'POST', mode: 'no-cors', credentials: 'include', body: 'a=1', headers: { 'Content-Type': 'text/plain' } })).type,
  'fetch POST JSON': async url => (await (await fetch(url, { method: 'POST', credentials: 'include', body: '{}', headers: { 'Content-Type': 'application/json' } })).text()),
  'fetch PUT': async url => (await (await fetch(url, { method: 'PUT', credentials: 'include', body: 'x' })).text()),
  'fetch DELETE keepalive': async url => (await (await fetch(url, { method: 'DELETE', credentials: 'include', keepalive: true })).text()),
  'XMLHttpRequest': url => new Promise((r, no) => { const x = new XMLHttpRequest(); x.open('POST', url); x.withCredentials = true; x.onload = () => r(x.responseText); x.onerror = () => no(new Error('refused')); x.send('a=1'); }),
  beacon: async url => { navigator.sendBeacon(url, 'a=1'); await new Promise(r => setTimeout(r, 700)); return 'sent'; },
  'form POST in a frame': url => new Promise(r => {
    const i = document.createElement('iframe'), f = document.createElement('form');
    i.name = 'target' + Math.random(); f.target = i.name; f.method = 'POST'; f.action = url; f.innerHTML = '<input name=action value=delete>';
    document.body.append(i, f); f.submit(); setTimeout(r, 1500, 'sent');
  }),
  'form POST in a window': url => new Promise(r => {
    const f = document.createElement('form'); f.target = '_blank'; f.method = 'POST'; f.action = url; f.innerHTML = '<input name=action value=delete>';
    document.body.append(f); f.submit(); setTimeout(r, 1500, 'sent');
  }),
  EventSource: url => new Promise((r, no) => { const e = new EventSource(url, { withCredentials: true }); e.onmessage = m => { e.close(); r(m.data); }; e.onerror = () => { e.close(); no(new Error('refused')); }; }),
  WebSocket: url => new Promise((r, no) => { const w = new WebSocket(url.replace('https:', 'wss:')); w.onopen = () => { w.close(); r('open'); }; w.onerror = () => no(new Error('refused')); }),
  'shared worker': url => new Promise((r, no) => { try { const w = new SharedWorker(url); w.onerror = () => no(new Error('refused')); setTimeout(r, 1000, 'nothing'); } catch (e) { no(e); } }),
  'script module': url => import(url).then(() => 'loaded'),
};

const seen = async () => (await (await fetch(facts.seen)).json());
const attack = (name, url) => page.evaluate(async ([f, u]) => { try { return String(await (0, eval)(`(${f})`)(u)); } catch (e) { return 'refused: ' + e.message; } }, [ways[name].toString(), url]);
let count = 0;

// null: nothing of it reached the tool; else the request.
async function reached(name, target = facts.tool, path = '/mark') {
  const mark = `${path}${++count}${/script|worker/.test(name) ? '.js' : ''}`;
  const saw = await attack(name, target + mark);
  await sleep(100);
  return { request: (await seen()).find(r => r.path === mark) ?? null, saw };
}

await step('the tool\'s own page may do all of it', async () => {
  await page.goto(facts.tool + '/login');
  expect((await page.title()) === 'victim', 'the tool', await page.title());
  const missing = [];
  for (const name of Object.keys(ways)) {
    const { request, saw } = await reached(name, facts.tool, name === 'EventSource' ? '/events?' : '/own');
    if (!request) missing.push(`${name}: ${saw}`);
  }
  expect(missing.length === 0, 'every one to reach the tool', missing);
  return ` (${Object.keys(ways).length} ways)`;
});

for (const [who, from] of [['another tool\'s page', facts.evil], ['an unrelated site\'s page', facts.outside]]) {
  await page.goto(from + '/');
  for (const name of Object.keys(ways))
    await step(`${who} can't reach the tool by ${name}`, async () => {
      const { request, saw } = await reached(name);
      expect(request === null, 'nothing at the tool', request);
      expect(!/secret|victim/.test(saw) && !/^open/.test(saw), 'nothing to read', saw);
      return `: ${saw.slice(0, 60)}`;
    });
  await step(`${who} may send the browser to the tool, and can't look inside`, async () => {
    const [popup, inside] = await Promise.all([context.waitForEvent('page'), page.evaluate(async url => {
      const w = window.open(url);
      await new Promise(r => setTimeout(r, 2500));
      try { return 'read: ' + w.document.title; } catch (e) { return e.name; }
    }, facts.tool + '/opened')]);
    expect(inside === 'SecurityError', 'no look inside', inside);
    expect(await popup.title() === 'victim', 'the page there', await popup.title());
    await popup.close();
  });
  await step(`${who} can't act on the console`, async () => {
    const before = await page.evaluate(() => document.querySelectorAll('iframe').length);
    const done = [];
    for (const [name, path, type] of [['form POST in a window', '/ask?tool=support&reason=x&minutes=5'], ['form POST in a frame', `/notice/${facts.grant}`],
      ['fetch POST no-cors', '/api/v1/requests'], ['fetch POST JSON', '/api/v1/requests'], ['fetch POST JSON', '/api/v1/locks'], ['fetch POST JSON', '/api/v1/decisions'],
      ['fetch POST no-cors', '/held/hld_AAAAAAAAAAAAAAAAAAAAAA/release'], ['fetch GET with credentials', '/api/v1/status'], ['fetch GET no-cors', '/api/v1/sessions'],
      ['form POST in a window', '/locks?kind=tool&value=support&reason=x'], ['fetch POST no-cors', '/locks'], ['fetch POST no-cors', '/items/req_AAAAAAAAAAAAAAAAAAAAAA/decision'],
      ['fetch POST no-cors', '/keys/x/remove'], ['script', '/static/sign.js'], ['script', '/api/v1/status'], ['iframe', '/'], ['WebSocket', '/']]) {
      const saw = await attack(name, facts.console + path);
      if (/alice|secret|^open/.test(saw)) done.push(`${name} ${path}: ${saw}`);
    }
    expect(done.length === 0, 'nothing to read', done);
    for (const f of page.frames().slice(1))
      expect(!/Your access/.test(await f.evaluate(() => document.body?.innerText ?? '').catch(() => '')), 'no console in a frame', f.url());
    return ` (${await page.evaluate(() => document.querySelectorAll('iframe').length) - before} frames tried)`;
  });
  for (const extra of context.pages().filter(p => p !== page)) await extra.close();
}

await step('a tool\'s page may not register a service worker', async () => {
  await page.goto(facts.evil + '/');
  for (const scope of ['/', '/deep/']) {
    const saw = await page.evaluate(async s => { try { await navigator.serviceWorker.register('/deep/sw.js', { scope: s }); return 'registered'; } catch (e) { return e.name; } }, scope);
    expect(saw === 'SecurityError' || saw === 'TypeError', 'a refusal', saw);
  }
  expect((await page.evaluate(() => navigator.serviceWorker.getRegistrations())).length === 0, 'none registered', 'some');
});

await step('what a tool must not say does not arrive', async () => {
  const response = await page.goto(facts.evil + '/fields');
  const got = Object.keys(await response.allHeaders());
  for (const name of ['alt-svc', 'nel', 'report-to', 'reporting-endpoints', 'service-worker-allowed', 'access-control-allow-origin', 'access-control-allow-credentials', 'countersign-grant'])
    expect(!got.includes(name), `no ${name}`, got);
  expect((await response.allHeaders())['strict-transport-security'] !== 'max-age=0', "the gateway's own Strict-Transport-Security", '');
});

await step('a tool\'s cookie stays on its own host', async () => {
  const domains = (await context.cookies()).filter(c => /tossed/.test(c.name + c.value)).map(c => c.domain);
  expect(domains.length > 0 && domains.every(d => d === new URL(facts.evil).hostname), 'cookies of the evil host only', domains);
});

await step('a tied cookie planted by another tool\'s script is not forwarded, the real one is', async () => {
  await page.goto(facts.tool + '/login');
  await page.goto(facts.evil + '/');
  await page.evaluate(d => { document.cookie = `sid=planted; domain=${d}; path=/`; document.cookie = `sid=deeper; domain=${d}; path=/account`; document.cookie = `other=planted; domain=${d}; path=/`; }, facts.domain);
  await page.goto(facts.tool + '/account/page');
  const request = (await seen()).filter(r => r.path === '/account/page').pop();
  const cookie = request?.fields.cookie ?? '';
  expect(/(^|; )sid=of-alice(;|$)/.test(cookie) && !/sid=(planted|deeper)/.test(cookie), "alice's own", cookie);
  expect(/other=planted/.test(cookie), 'others to pass (they are not tied)', cookie);
  const kept = (await context.cookies(facts.tool)).find(c => c.name === 'sid' && c.httpOnly);
  expect(kept?.value.startsWith('cs1.') && kept.value.endsWith('.of-alice'), 'a tagged value in the browser', kept?.value);
});

async function namedOrigin(how) {
  await page.goto(facts.intranet + '/');
  await step(`an origin that the policy names for one action may do that, and read the answer (${how})`, async () => {
    const path = `/tickets/${++count}`, put = await attack('fetch PUT', facts.tool + path);
    expect(/victim/.test(put), 'the answer', put);
    expect((await seen()).some(r => r.method === 'PUT' && r.path === path), 'the request at the tool', '');
    const get = await attack('fetch GET with credentials', facts.tool + path);
    expect(/victim/.test(get), 'the answer', get);
  });
  await step(`and nothing else (${how})`, async () => {
    for (const [name, folder] of [['fetch DELETE keepalive', 'tickets'], ['fetch PUT', 'other'], ['fetch GET with credentials', 'other'], ['fetch POST no-cors', 'other'],
      ['fetch PUT', 'never'], ['fetch POST JSON', 'tickets'], ['fetch GET no-cors', 'tickets'], ['WebSocket', 'other']]) {
      const path = `/${folder}/${++count}`, saw = await attack(name, facts.tool + path);
      expect(!/victim|^open/.test(saw), `no answer to ${name} ${path}`, saw);
      expect(!(await seen()).some(r => r.path === path), `nothing at the tool of ${name} ${path}`, saw);
    }
  });
}
await namedOrigin('this Chromium\'s preflights carry the certificate');

await step('after all that the tool still serves her', async () => {
  await page.goto(facts.tool + '/after');
  expect(await page.title() === 'victim', 'the tool', await page.title());
});

await context.close();
// As the Fetch standard has it, and other browsers do.
context = await open(facts.home, ['--enable-features=OmitCorsClientCert']);
page = await context.newPage();
await namedOrigin('preflights without a certificate');
await context.close();
end();

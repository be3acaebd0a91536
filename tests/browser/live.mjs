// A WebSocket and an event stream side by side, used, and then ended from outside.
import { spawnSync } from 'node:child_process';
import { end, expect, facts, open, sleep, step } from './steps.mjs';

const context = await open(facts.home, facts.proto === 'h1' ? ['--disable-http2'] : []);
const page = await context.newPage();
const how = `${facts.proto}, ${facts.ending}`;
const socket = facts.tool.replace('https:', 'wss:') + '/socket';

// Opens both; what happens to them is kept in window.seen.
const begin = ([url, events]) => new Promise((ok, no) => {
  const ws = new WebSocket(url), seen = window.seen = { back: [], ticks: 0, code: null, clean: null, failed: false };
  window.ws = ws;
  ws.binaryType = 'arraybuffer';
  ws.onmessage = e => seen.back.push(typeof e.data === 'string' ? e.data.length : e.data.byteLength);
  ws.onclose = e => { seen.code = e.code; seen.clean = e.wasClean; seen.at = Date.now(); };
  ws.onerror = () => no(new Error('the WebSocket'));
  ws.onopen = () => {
    if (!events) return ok(ws.extensions);
    const es = window.es = new EventSource('/events');
    es.onmessage = () => { if (++seen.ticks === 3) ok(ws.extensions); };
    es.onerror = () => { seen.failed = es.readyState === 2; };
  };
});
const now = () => page.evaluate(() => window.seen);

async function until(what, test) {
  for (const stop = Date.now() + 40000; ; await sleep(100)) {
    const got = await now();
    if (test(got)) return got;
    expect(Date.now() < stop, what, got);
  }
}

const command = (...args) => {
  const p = spawnSync(facts.countersign, args, { encoding: 'utf8', timeout: 60000,
    env: { ...process.env, ...facts.env, COUNTERSIGN_GATEWAY: facts.console, COUNTERSIGN_CERT: facts.olga.cert, COUNTERSIGN_KEY: facts.olga.key, COUNTERSIGN_CA: facts.ca } });
  expect(p.status === 0, 'the command to succeed', p.stdout + p.stderr);
};

await step(`messages of every size come back, and events arrive meanwhile (${how})`, async () => {
  await page.goto(facts.tool + '/');
  const extensions = await page.evaluate(begin, [socket, true]);
  expect(extensions.startsWith('permessage-deflate'), 'compression', extensions);
  const sizes = [0, 1, 125, 126, 65535, 65536, 1000003];
  await page.evaluate(all => { for (const n of all) { window.ws.send('x'.repeat(n)); window.ws.send(new Uint8Array(n)); } }, sizes);
  await until('every message back', s => s.back.length === 2 * sizes.length);
  expect(JSON.stringify((await now()).back) === JSON.stringify(sizes.flatMap(n => [n, n])), 'in order and whole', (await now()).back);
  await until('more events', s => s.ticks > 5);
});

await step(`and then it ends, with a reason that a page can read (${how})`, async () => {
  // An event on its way at that very moment takes the Close's place (promise 7): end the stream first, so that the code can be told for sure.
  await page.evaluate(() => window.es.close());
  await sleep(700);
  if (facts.ending === 'lock') command('lock', 'grant', facts.grant, '--reason', 'the laptop was stolen');
  if (facts.ending === 'drain') process.kill(facts.gateway, 'SIGTERM');
  const begun = Date.now(), got = await until('an end', s => s.code !== null);
  const wanted = facts.ending === 'drain' ? 1001 : 1008;
  expect(got.code === wanted, `code ${wanted}`, got);
  return `: code ${got.code}, ${facts.ending === 'expiry' ? 'when the grant ended' : `${Math.max(0, got.at - begun)} ms after the command`}`;
});

if (facts.ending !== 'drain')
  await step(`neither comes back (${how})`, async () => {
    const refused = await page.evaluate(([url]) => new Promise(done => {
      const ws = new WebSocket(url), es = new EventSource('/events'), out = {};
      ws.onopen = () => { out.socket = 'open'; };
      ws.onclose = e => { out.socket ??= e.code; if (out.events) done(out); };
      es.onopen = () => { out.events = 'open'; };
      es.onerror = () => { out.events ??= es.readyState; if (out.socket) done(out); };
    }), [socket]);
    expect(refused.socket === 1006 && refused.events === 2, 'two refusals', refused);
  });

await context.close();
end();

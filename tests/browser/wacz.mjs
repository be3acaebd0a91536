// A session exported as WACZ, opened by ReplayWeb.page's own engine (wabac's service worker): does it take the file, and show the page with its styles?
import http from 'node:http';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { end, expect, facts, open, sleep, step } from './steps.mjs';

const engine = new URL('node_modules/@webrecorder/wabac/dist/sw.js', import.meta.url);
const files = { '/sw.js': ['text/javascript', readFileSync(engine)], '/s.wacz': ['application/wacz', readFileSync(facts.wacz)], '/': ['text/html', Buffer.from('<!doctype html><title>reader</title>')] };
const server = http.createServer((request, response) => {
  const file = files[request.url.split('?')[0]];
  if (!file) return response.writeHead(404).end();
  const range = /bytes=(\d*)-(\d*)/.exec(request.headers.range ?? ''), [type, all] = file;
  const from = !range ? 0 : range[1] ? Number(range[1]) : all.length - Number(range[2]), to = range?.[1] && range[2] ? Math.min(Number(range[2]), all.length - 1) : all.length - 1;
  const body = all.subarray(from, to + 1);
  response.writeHead(range ? 206 : 200, { 'Content-Type': type, 'Accept-Ranges': 'bytes', 'Content-Length': body.length, ...(range && { 'Content-Range': `bytes ${from}-${to}/${all.length}` }) });
  response.end(request.method === 'HEAD' ? undefined : body);
}).listen(0, '127.0.0.1');
await new Promise(ok => server.on('listening', ok));
const context = await open(facts.home), page = await context.newPage(), base = `http://127.0.0.1:${server.address().port}`;
const asked = [];
page.on('response', r => asked.push([r.status(), r.url()]));

await step("ReplayWeb.page's engine takes a session's WACZ", async () => {
  await page.goto(base + '/');
  const came = await page.evaluate(async () => {
    await navigator.serviceWorker.register('/sw.js');
    const worker = (await navigator.serviceWorker.ready).active;
    return new Promise(ok => {
      navigator.serviceWorker.addEventListener('message', e => {
        if (e.data.msg_type === 'collAdded') ok('added');
        if (e.data.error) ok(`error: ${e.data.error}`);
      });
      worker.postMessage({ msg_type: 'addColl', name: 's', file: { sourceUrl: location.origin + '/s.wacz', loadUrl: location.origin + '/s.wacz' } });
      setTimeout(ok, 30000, 'nothing');
    });
  });
  expect(came === 'added', 'added', came);
});

await step('and shows the page that alice saw, with its styles', async () => {
  const lines = execFileSync('/usr/bin/python3', ['-c', 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read("pages/pages.jsonl"))', facts.wacz]).toString().trim().split('\n').map(JSON.parse);
  const customers = lines.find(l => l.url?.endsWith('/admin/support/customer/')), when = customers.ts.replace(/\D/g, '');
  await page.reload();
  await page.evaluate(source => document.body.append(Object.assign(document.createElement('iframe'), { name: '___wb_replay_top_frame', src: source, width: 1100, height: 700 })), `/w/s/${when}mp_/${customers.url}`);
  let text = '';
  for (const end = Date.now() + 30000; !/Amber Bakery/.test(text) && Date.now() < end; await sleep(300)) text = await page.frames().at(-1).locator('body').innerText().catch(e => e.message);
  expect(/Amber Bakery/.test(text), 'the customers', text);
  expect(asked.some(([status, url]) => status === 200 && url.includes('/static/admin/css/base.css')), 'its style from the archive', asked.map(String));
  await page.screenshot({ path: `${facts.output}/replayweb-page.png` });
});
await context.close();
server.close();
end();

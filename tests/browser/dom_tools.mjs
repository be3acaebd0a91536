// Two tools: one with strict policies, one with a page that floods the upload and draws what should make a player call out. `node dom_tools.mjs STRICT HOSTILE`
import { createServer } from 'node:http';

const [strict, hostile] = process.argv.slice(2).map(Number);

createServer((q, a) => {
  const nonce = 'n' + Math.random().toString(36).slice(2), html = text => a.end(`<!doctype html><html><head><title>${text}</title></head><body><h1>${text}</h1>` +
    `<script nonce="${nonce}">document.body.append(' own script ran')</script></body></html>`);
  a.setHeader('Content-Type', 'text/html; charset=utf-8');
  if (q.url.startsWith('/nonce')) {
    a.setHeader('Content-Security-Policy', `default-src 'none'; script-src 'strict-dynamic' 'nonce-${nonce}'; connect-src 'self'; style-src 'self'; require-trusted-types-for 'script'`);
    html('A page with a nonce');
  } else if (q.url.startsWith('/hashes')) {
    a.setHeader('Content-Security-Policy', "default-src 'none'; script-src 'sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='; connect-src 'self'");
    html('A page with hashes');
  } else {
    html('A plain page');
  }
}).listen(strict, '127.0.0.1');

createServer((q, a) => {
  const u = new URL(q.url, 'http://x'), out = `http://127.0.0.1:${u.searchParams.get('tcp')}`;
  a.setHeader('Content-Type', 'text/html; charset=utf-8');
  a.end(`<!doctype html><html><head><title>Hostile</title><link rel="stylesheet" href="${out}/style.css"><link rel="preconnect" href="${out}"><style>@import url(${out}/import.css); body { background: url(${out}/bg.png) }</style></head>
<body><p id="p">a page that floods</p><img src="${out}/img.png" onerror="fetch('${out}/onerror')"><iframe src="${out}/frame"></iframe><object data="${out}/object"></object>
<a href="javascript:fetch('${out}/link')">link</a><form action="${out}/form"></form><svg><image href="${out}/svg"/></svg><video src="${out}/video"></video>
<script>
var mine = document.createElement('div');
mine.setAttribute('onclick', 'fetch("${out}/click")');
mine.textContent = 'added by its script';
document.body.append(mine);
window.flood = async (n, page) => { const got = {};
  for (let i = 0; i < n; i++) {
    const events = [{ type: 2, timestamp: i, data: { node: { type: 0, id: 1, childNodes: [{ type: 2, id: 2, tagName: 'script', attributes: { src: '${out}/script.js' }, childNodes: [{ type: 3, id: 3, textContent: 'fetch("${out}/inline")' }] }] }, initialOffset: { top: 0, left: 0 } } }];
    const r = await fetch('/.countersign/recorder/events', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ v: 1, page, doc: 'flood', seq: i, lost: 0, why: '', at: '/', events, pad: 'x'.repeat(200000) }) });
    got[r.status] = (got[r.status] || 0) + 1;
  }
  return got; };
</script></body></html>`);
}).listen(hostile, '127.0.0.1');

// A tool with what lives long: a WebSocket that says everything back (npm's ws, with compression), and an event stream; `node live_tool.mjs PORT`.
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

const server = createServer((request, response) => {
  if (request.url.startsWith('/events')) {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    let n = Number(request.headers['last-event-id'] ?? 0);
    const timer = setInterval(() => response.write(`id: ${++n}\ndata: tick ${n}\n\n`), 100);
    response.on('close', () => clearInterval(timer));
    return;
  }
  response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>live</title><h1>A tool that stays open</h1>');
});
new WebSocketServer({ server, path: '/socket', perMessageDeflate: { threshold: 0 }, maxPayload: 1 << 26 }).on('connection', socket => {
  socket.on('error', () => {});
  socket.on('message', (data, binary) => socket.send(data, { binary }));
});
server.listen(Number(process.argv[2]), '127.0.0.1');

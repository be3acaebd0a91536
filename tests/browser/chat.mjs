// A chat on socket.io: long polls first, then a WebSocket; `node chat.mjs PORT`.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const require = createRequire(process.env.NODE_PATH ? join(process.env.NODE_PATH, 'x.js') : import.meta.url);
const { Server } = require('socket.io');
const page = `<!doctype html><title>chat</title><ul id=said></ul><form id=f><input id=text autofocus><button>Say</button></form><script src="/socket.io/socket.io.js"></script><script src="/chat.js"></script>`;
const script = `const s = io(location.search.includes('poll') ? { transports: ['polling'] } : {});
s.on('said', m => { const li = document.createElement('li'); li.textContent = m.text; document.getElementById('said').append(li); });
setInterval(() => { if (s.connected) document.title = s.io.engine.transport.name; }, 50);
s.on('disconnect', r => { document.title = 'gone: ' + r; });
document.getElementById('f').onsubmit = e => { e.preventDefault(); s.emit('say', { text: document.getElementById('text').value, password: 'hunter2' }); };`;
const server = createServer((request, response) => {
  const js = request.url.startsWith('/chat.js');
  if (request.url.startsWith('/socket.io/')) return;
  response.writeHead(200, { 'Content-Type': js ? 'text/javascript' : 'text/html' }).end(js ? script : page);
});
const io = new Server(server, { maxHttpBufferSize: 1e7 });
io.on('connection', socket => socket.on('say', m => io.emit('said', { text: m.text })));
server.listen(Number(process.argv[2]), '127.0.0.1');

// Reads a WARC file with warcio, a reader that nobody here wrote, and prints a line of JSON for each response and each WebSocket message: what it is about, and its body's length and SHA-256.
// Bodies that go on in continuation records (ISO 28500, s6.8) are joined; that is all that is done here.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { WARCParser } from 'warcio';

const open = new Map();                  // WARC-Record-ID of a first record: the message that it begins

function begin(h, type) {
  return { type, target: h.headers.get('WARC-Target-URI'), from: h.headers.get('Countersign-From'), opcode: h.headers.get('Countersign-Opcode'), message: Number(h.headers.get('Countersign-Message') ?? 0),
           status: 0, bytes: 0, hash: createHash('sha256'), head: type === 'response' ? Buffer.alloc(0) : null };
}

// A response record begins with the head of an HTTP message; what comes after its empty line is body.
function take(m, chunk) {
  if (m.head !== null) {
    m.head = Buffer.concat([m.head, chunk]);
    const end = m.head.indexOf('\r\n\r\n');
    if (end < 0) return;
    m.status = Number(m.head.toString('latin1').split(' ')[1]);
    chunk = m.head.subarray(end + 4);
    m.head = null;
  }
  m.bytes += chunk.length;
  m.hash.update(chunk);
}

function tell(m, h) {
  const { type, target, from, opcode, message, status, bytes } = m;
  console.log(JSON.stringify({ type, target, from, opcode, message, status, bytes, sha256: m.hash.digest('hex'), truncated: h.headers.get('WARC-Truncated') ?? null }));
}

for await (const record of new WARCParser(createReadStream(process.argv[2]), { parseHttp: false })) {
  const h = record.warcHeaders, type = record.warcType, number = Number(h.headers.get('WARC-Segment-Number') ?? 0);
  const m = type === 'continuation' ? open.get(h.headers.get('WARC-Segment-Origin-ID')) : type === 'response' || type === 'resource' ? begin(h, type) : null;
  if (!m) {
    await record.skipFully();
    continue;
  }
  for await (const chunk of record) take(m, Buffer.from(chunk));
  if (number === 1) open.set(h.headers.get('WARC-Record-ID'), m);
  else if (number === 0 || h.headers.get('WARC-Segment-Total-Length') !== null) tell(m, h);
}

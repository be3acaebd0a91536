// The timeline: what happened, in the order of time, put together so that a person can read it. No document here: plain facts in, plain rows out.

const words = {
  'request.created': ['asked for access', ['person', 'tool', 'reason']], 'grant.issued': ['the grant was issued', []], 'grant.ended': ['the grant ended', ['why']],
  'notice.acknowledged': ['was told that the session is recorded', ['identity']], 'held.created': ['request held', ['action', 'method', 'target']],
  'signoff.used': ['sign-off used: the held request is sent', []], outcome: ['outcome', ['outcome']], 'item.expired': ['expired', []], 'item.cancelled': ['cancelled', ['why']],
  lock: ['lock', ['kind', 'value', 'reason', 'by']], unlock: ['unlock', ['reason', 'by']], 'session.read': ['looked at', ['by', 'purpose']],
};

function decisionText(leaf) {
  const c = leaf.content;
  if (leaf.type === 'approval' || leaf.type === 'denial') {
    const s = c.statement ?? {}, scope = s.scope ?? {}, said = s.decision === 'approve' ? 'said yes to' : 'said no to';
    return s.purpose === 'signoff' ? `${s.approver} ${said} ${scope.action}: ${scope.method} ${scope.target}` : `${s.approver} ${said} ${s.requester}: ${scope.tool}`;
  }
  const [text, members] = words[leaf.type] ?? [null, []];
  return text && [text, ...members.map(m => c[m]).filter(v => typeof v === 'string' && v)].join(', ');
}

const minor = new Set(['image', 'font', 'style', 'script']);

// What an exchange is called for: each a word, and how it looks.
export function tags(x) {
  const list = [];
  if (x.notes?.held || x.signed_off_by?.length) list.push(x.signed_off_by?.length ? [`signed off by ${x.signed_off_by.join(', ')}`, 'yes'] : ['held', 'warn']);
  if (!x.from_tool && x.status && !x.notes?.held) list.push(['answered by the gateway', x.status >= 400 ? 'bad' : 'warn']);
  if (!x.status) list.push(['no answer', 'bad']);
  else if (x.status >= 400) list.push([String(x.status), 'bad']);
  if (x.kind === 'download') list.push(['download', 'warn']);
  if (x.request_cut || x.response_cut) list.push(['cut off', 'bad']);
  if (x.told) list.push(['screen recorded', '']);
  if (x.record === 'metadata') list.push(['sizes only', '']);
  return list;
}

const refused = x => !x.from_tool && x.status >= 400;
export const filters = {
  pages: ['Pages', r => r.kind === 'page'],
  writes: ['Changes', r => r.x && !['GET', 'HEAD', 'OPTIONS'].includes(r.x.method)],
  signoffs: ['Sign-offs', r => r.x ? Boolean(r.x.notes?.held || r.x.signed_off_by?.length) : r.kind === 'decision'],
  refusals: ['Refused', r => Boolean(r.x && refused(r.x))],
  errors: ['Errors', r => Boolean(r.x && (r.x.status >= 400 || !r.x.status))],
  live: ['Live messages', r => r.kind === 'messages' || (r.x && ['websocket', 'event-stream'].includes(r.x.kind))],
};

const notable = x => x.kind !== 'part' || !['GET', 'HEAD', 'OPTIONS'].includes(x.method) || tags(x).length > 0;
const pathOf = target => target.split('?')[0];

function flatten(session, exchanges) {
  const events = [];
  for (const x of exchanges) {
    if (x.kind === 'claim') continue;    // what a browser told stands with the page that it tells of
    events.push({ kind: x.kind === 'page' ? 'page' : 'exchange', t: x.started_ms, page: x.page, x });
    for (const m of x.messages ?? []) events.push({ kind: 'message', t: m.time_ms, page: x.page, x, m });
  }
  for (const leaf of session.decisions ?? []) {
    const text = leaf.content && decisionText(leaf);
    if (text) events.push({ kind: 'decision', t: leaf.time_ms, page: 0, text, leaf });
  }
  return events.map((e, i) => [e, i]).sort(([a, i], [b, k]) => a.t - b.t || i - k).map(([e]) => e);
}

// Questions of the same kind asked again and again, also with a few others in between.
const LOOK_BACK = 8;
function earlierAlike(rows, e) {
  for (let i = rows.length - 1; i >= Math.max(0, rows.length - LOOK_BACK); i--) {
    const r = rows[i];
    if (r.kind === 'page' || r.page !== e.page) return null;
    if (r.kind === 'exchange' && r.x.kind === 'part' && r.x.method === e.x.method && r.x.status === e.x.status && pathOf(r.x.target) === pathOf(e.x.target)) return r;
  }
  return null;
}

// Runs of one socket's messages become one row; so do questions of the same kind.
function join(events) {
  const rows = [];
  for (const e of events) {
    const last = rows.at(-1), alike = e.kind === 'exchange' && e.x.kind === 'part' && earlierAlike(rows, e);
    if (e.kind === 'message' && last?.kind === 'messages' && last.x === e.x) last.list.push(e.m);
    else if (e.kind === 'message') rows.push({ kind: 'messages', t: e.t, page: e.page, x: e.x, list: [e.m] });
    else if (alike) (alike.same ??= [alike.x]).push(e.x);
    else rows.push({ ...e });
  }
  return rows;
}

export function build(session, exchanges) {
  const rows = join(flatten(session, exchanges));
  for (const r of rows) {
    r.notable = r.kind !== 'exchange' || notable(r.x);
    r.minor = r.kind === 'exchange' && minor.has(r.x.type?.split('/')[0]);
    r.text = r.kind === 'decision' ? r.text : r.kind === 'messages' ? `WebSocket ${pathOf(r.x.target)}` : `${r.x.method} ${r.x.target}`;
    r.hay = [r.text, r.x?.title, r.x?.action, r.x?.status, r.x?.type, r.x?.kind, ...Object.values(r.x?.notes ?? {}), ...(r.x?.signed_off_by ?? [])].join(' ').toLowerCase();
  }
  return rows;
}

// The rows to show: all that fit; without a question, pages with what matters in them, and the rest of those that are open.
export function choose(rows, question, only, open) {
  const wanted = question.trim().toLowerCase().split(/\s+/).filter(Boolean), asked = wanted.length > 0 || only.size > 0, shown = [];
  const rest = new Map();
  for (const r of rows) {
    if (asked) {
      if (wanted.every(w => r.hay.includes(w)) && [...only].every(name => filters[name][1](r))) shown.push(r);
    } else if (r.notable || open.has(r.page)) {
      shown.push(r);
    } else {
      if (!rest.has(r.page)) {
        rest.set(r.page, { kind: 'more', t: r.t, page: r.page, count: 0 });
        shown.push(rest.get(r.page));
      }
      rest.get(r.page).count += r.same?.length ?? 1;
    }
  }
  return shown;
}

export function plain(title) {
  const named = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ' };
  return (title ?? '').replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(\w+));/gi, (all, dec, hex, name) => {
    const code = dec ? Number(dec) : hex ? parseInt(hex, 16) : 0;
    return name ? named[name] ?? all : code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : all;
  }).replace(/\s+/g, ' ').trim();
}

export const clock = ms => new Date(ms).toISOString().slice(11, 19);
export const day = ms => new Date(ms).toISOString().slice(0, 10);
export function size(n) {
  const units = ['bytes', 'KiB', 'MiB', 'GiB'];
  let i = 0;
  for (; n >= 1024 && i < 3; i++) n /= 1024;
  return `${i ? n.toFixed(1) : n} ${units[i]}`;
}

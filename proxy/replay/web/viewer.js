// The viewer: the timeline, the recorded page in its frame, and what is known of each exchange. Everything that was recorded is shown as text; none of it becomes markup here.
import { build, choose, clock, day, filters, plain, size, tags } from './timeline.js';

const $ = id => document.getElementById(id), ROWS = 600, LONGEST_MS = 5000;
const key = location.hash.slice(1) || sessionStorage.getItem('key') || '';
sessionStorage.setItem('key', key);
history.replaceState(null, '', '/');         // the key stays out of the history, and out of pictures

const state = { rows: [], shown: [], exchanges: [], pages: [], session: {}, suffix: '', at: -1, page: 0, only: new Set(), open: new Set(), limit: ROWS, playing: 0, generation: 0 };

async function api(path) {
  const r = await fetch(path, { headers: { 'Countersign-Replay-Key': key } });
  if (!r.ok) throw new Error(await r.text());
  return r.json();
}

function el(name, options = {}, ...children) {
  const { className, ...attributes } = options, e = document.createElement(name);
  if (className) e.className = className;
  for (const [k, v] of Object.entries(attributes)) if (v !== false && v !== undefined) e.setAttribute(k, v);
  e.append(...children.filter(c => c !== null && c !== undefined && c !== false));
  return e;
}
const tag = ([text, look]) => el('span', { className: `tag ${look}` }, text);

// What redaction left in a secret's place is marked.
const hole = /fp:[\w-]{16}|(?<=["=:]\s?"?)removed(?=["&\s]|$)|withheld: \d+ bytes[^"\n]*/g;
function marked(text) {
  const out = new DocumentFragment();
  let at = 0;
  for (const m of text.matchAll(hole)) {
    const title = m[0].startsWith('fp:') ? 'A fingerprint in the place of a secret: equal ones were equal secrets' : 'Taken out before anything was kept';
    out.append(text.slice(at, m.index), el('mark', { title }, m[0]));
    at = m.index + m[0].length;
  }
  out.append(text.slice(at));
  return out;
}

// ---- the timeline ----

function rowButton(r, i) {
  const inner = r.kind !== 'page' && r.page > 0, b = el('button', { type: 'button', className: `${r.kind} ${inner ? 'inner' : ''}`, 'data-row': i });
  b.append(el('time', {}, clock(r.t)));
  if (r.kind === 'more') {
    b.append(el('span', { className: 'what more' }, `${r.count} more request${r.count === 1 ? '' : 's'}`));
  } else if (r.kind === 'decision') {
    b.append(el('span', { className: 'what' }, r.text));
  } else if (r.kind === 'messages') {
    const sent = r.list.filter(m => m.from === 'client').length;
    b.append(el('span', { className: 'what' }, r.text), el('span', { className: 'tag' }, `${r.list.length} messages`), el('span', { className: 'sub' }, `${sent} sent, ${r.list.length - sent} received`));
  } else {
    const x = r.x, many = r.same ? [`${r.same.length} ×`, ''] : null, events = x.events !== undefined ? [`${x.events} events`, ''] : null;
    b.append(el('span', { className: 'what', title: r.text }, r.kind === 'page' ? plain(x.title) || x.target : r.text),
             el('span', {}, ...[many, events, x.node ? [x.node, ''] : null, ...tags(x)].filter(Boolean).map(tag)));
    if (r.kind === 'page') b.append(el('span', { className: 'sub', title: r.text }, `${r.text}${x.action ? ` · ${x.action}` : ''}`));
    else if (r.same) b.append(el('span', { className: 'sub' }, `until ${clock(r.same.at(-1).started_ms)}`));
  }
  return b;
}

function showTimeline() {
  state.shown = choose(state.rows, $('search').value, state.only, state.open);
  const list = document.createDocumentFragment();
  let today = '';
  state.shown.slice(0, state.limit).forEach((r, i) => {
    if (day(r.t) !== today) list.append(el('li', { className: 'day' }, today = day(r.t)));
    list.append(el('li', {}, rowButton(r, i)));
  });
  if (state.shown.length > state.limit) list.append(el('li', {}, el('button', { type: 'button', 'data-further': 'yes' }, '', el('span', { className: 'what' }, `${state.shown.length - state.limit} more rows`))));
  $('list').replaceChildren(list);
  $('count').textContent = `${state.pages.length} pages, ${state.exchanges.filter(x => x.kind !== 'claim').length} requests${$('search').value || state.only.size ? `: ${state.shown.length} rows fit` : ''}`;
  markRow();
}

function markRow() {
  for (const b of $('list').querySelectorAll('button[data-row]')) b.setAttribute('aria-current', String(Number(b.dataset.row) === state.at));
}

function moveTo(i, focus) {
  state.at = Math.max(0, Math.min(i, Math.min(state.limit, state.shown.length) - 1));
  markRow();
  const b = $('list').querySelector(`[data-row="${state.at}"]`);
  b?.scrollIntoView({ block: 'nearest' });
  if (focus) b?.focus({ preventScroll: true });
}

function openRow(r, i) {
  state.at = i;
  if (r.kind === 'more') {
    state.open.add(r.page);
    showTimeline();
    return;
  }
  markRow();
  if (r.kind === 'page') showPage(r.x.number);
  else if (r.x) {
    if (r.page && r.page !== state.page) showPage(r.page, false);
    showDetails(r.x.number, r.list?.[0]?.number);
    if (state.page === 0 || matchMedia('(max-width: 52rem)').matches) view('details');
  }
}

// ---- the page ----

function view(name) {
  document.body.dataset.view = name;
  for (const b of document.querySelectorAll('[data-tab]')) b.setAttribute('aria-pressed', String(b.dataset.tab === name));
}

function notice(...children) {
  $('notices').append(el('p', {}, ...children));
}

function pageFacts(x) {
  const s = state.session, parts = [`${day(x.started_ms)} ${clock(x.started_ms)} UTC`, s.person ?? s.identity, s.tool, x.action && `action ${x.action}`, `${x.method} ${x.status || 'no answer'}`];
  $('facts').replaceChildren(...parts.filter(Boolean).map(p => el('span', {}, p)), ...tags(x).map(tag));
  $('title').textContent = plain(x.title) || x.target;
  $('address').textContent = `https://${s.recorded_host || s.host || ''}${x.target}`;
  document.title = `${plain(x.title) || x.target} – replay`;
  const i = state.pages.indexOf(x);
  $('told').hidden = !x.told;
  $('told').setAttribute('aria-pressed', String(Boolean(state.told && x.told)));
  $('scripts').disabled = Boolean(state.told && x.told);
  $('before').disabled = i <= 0;
  $('next').disabled = i < 0 || i >= state.pages.length - 1;
}

// A frame of its own for each page: nothing is left of the one before, and the browser's way back stays ours.
function loadFrame(x) {
  const told = state.told && x.told > 0, scripts = told || $('scripts').checked, frame = el('iframe', { title: 'The recorded page', sandbox: scripts ? 'allow-scripts allow-same-origin' : '', allow: '', referrerpolicy: 'no-referrer' });
  frame.credentialless = true;
  if (!told) frame.addEventListener('load', () => asked(frame));
  frame.src = told ? `http://d${x.number}${state.suffix}/` : `http://${scripts ? 'e' : 'p'}${x.number}${state.suffix}${x.target}`;
  $('frame').replaceChildren(frame);
}

function showPage(n, select = true) {
  const x = state.exchanges[n - 1];
  if (!x) return;
  state.page = n;
  if (!state.open.has(n) && select) {
    state.open.clear();
    state.open.add(n);
    const first = state.shown[state.at];
    showTimeline();
    moveTo(state.shown.findIndex(r => r === first || (r.kind === 'page' && r.x === x)), false);
  }
  $('notices').replaceChildren();
  $('details').replaceChildren();
  pageFacts(x);
  loadFrame(x);
  if (select) view('page');
}

// A link in the page was followed, or it is loaded: what does the frame show, and what did it ask for in vain?
async function asked(frame, patience = 3) {
  const s = await api('/api/shown').catch(() => null);
  if (!s || !frame.isConnected || s.generation === 0 || (s.n && s.n !== state.page && !s.opens)) return;
  if (s.opens) {
    state.at = state.shown.findIndex(r => r.kind === 'page' && r.x.number === s.opens);
    showPage(s.opens);
    return;
  }
  for (const old of $('notices').querySelectorAll(':scope > :not([data-stays])')) old.remove();
  missing('not in the recording', s.missing.map(m => `${m.method} ${m.target}: ${m.why}`));
  missing('answered by a question that differed in a number or a time', s.near.map(m => `${m.asked} – recorded: ${m.recorded}`));
  if (state.exchanges[state.page - 1]?.notes?.['response-body']) notice(marked(state.exchanges[state.page - 1].notes['response-body']));
  if (patience > 0) setTimeout(() => asked(frame, patience - 1), 1500);
}

function missing(what, list) {
  if (list.length) $('notices').append(el('details', {}, el('summary', {}, `${list.length} of the page's requests: ${what}`), el('ul', {}, ...list.map(t => el('li', { className: 'mono' }, t)))));
}

// The frame's own attempts to go elsewhere are stopped by our policy (frame-src).
document.addEventListener('securitypolicyviolation', e => {
  notice(`The page tried to lead the browser to ${e.blockedURI}. That was stopped. `);
  const again = el('button', { type: 'button' }, 'Show the page again');
  again.addEventListener('click', () => showPage(state.page));
  $('notices').lastChild.append(again);
  $('notices').lastChild.dataset.stays = 'yes';
});

function step(by) {
  const i = state.pages.findIndex(x => x.number === state.page), x = state.pages[i < 0 ? 0 : i + by];
  if (!x) return false;
  state.at = state.shown.findIndex(r => r.kind === 'page' && r.x === x);
  showPage(x.number);
  return true;
}

function play(on) {
  clearTimeout(state.playing);
  state.playing = 0;
  $('play').setAttribute('aria-pressed', String(on));
  $('play').textContent = on ? 'Stop' : 'Play';
  if (!on) return;
  const i = state.pages.findIndex(x => x.number === state.page), here = state.pages[i], there = state.pages[i + 1];
  if (!there) return play(false);
  const gap = here ? Math.max(700, Math.min(LONGEST_MS, there.started_ms - here.started_ms)) : 0;
  state.playing = setTimeout(() => { step(1); play(true); }, gap);
}

// ---- details ----

function pretty(body, type) {
  if (/json/.test(type ?? '') && !body.cut) {
    try { return JSON.stringify(JSON.parse(body.text), null, 2); } catch { /* as it is */ }
  }
  return /x-www-form-urlencoded/.test(type ?? '') ? body.text.split('&').map(p => p.replace(/\+/g, ' ')).join('\n') : body.text;
}

const field = (head, name) => head.match(new RegExp(`^${name}:[ \\t]*(.*?)\\r?$`, 'im'))?.[1];

function message(title, head, body) {
  const parts = [el('h3', {}, title), el('pre', {}, marked(head.trimEnd()))];
  if (body.omitted) parts.push(el('p', { className: 'soft' }, `${size(body.omitted)} of body: not kept by policy.`));
  else if (body.bytes && !body.readable) parts.push(el('p', { className: 'soft' }, `${size(body.bytes)} of ${field(head, 'content-type') ?? 'unknown type'}: not text.`));
  else if (body.bytes) parts.push(el('h3', {}, `Its body, ${size(body.bytes)}${body.cut ? ', the first part' : ''}`), el('pre', {}, marked(pretty(body, field(head, 'content-type')))));
  return parts;
}

function talk(x, texts, here) {
  return el('ol', { className: 'talk' }, ...(x.messages ?? []).slice(0, texts.length).map((m, i) => {
    const t = texts[i], from = m.from === 'client' ? 'sent' : m.from === 'tool' ? 'received' : 'gateway';
    const text = t.unreadable ? 'compressed, and cannot be read' : t.text === undefined ? 'not text' : t.text;
    const what = m.opcode === 'text' || m.opcode === 'binary' ? '' : `${m.opcode} `;
    return el('li', { className: m.number === here ? 'here' : '' }, el('time', { className: 'mono soft' }, new Date(m.time_ms).toISOString().slice(11, 23)),
              el('span', { className: from === 'sent' ? 'client' : '' }, from, m.cut ? ', cut off' : ''), el('pre', {}, what, marked(text), t.more ? ` … (${size(m.bytes)})` : ''));
  }));
}

async function showDetails(n, here) {
  const x = state.exchanges[n - 1], d = await api(`/api/exchange?n=${n}`), close = el('button', { type: 'button', className: 'close', 'aria-label': 'Close the details' }, '✕');
  const facts = [['Time', `${day(x.started_ms)} ${clock(x.started_ms)} UTC, ${x.ended_ms - x.started_ms} ms`], ['Action', x.action], ['Answered by', x.status ? x.from_tool ? 'the tool' : 'the gateway' : 'nobody'],
                 ['Held as', x.notes?.held], ['Signed off by', x.signed_off_by?.join(', ')], ['It ended', x.why], ['Segments', `${x.first_segment}–${x.last_segment}`],
                 ['Recorded by', x.node && `${x.node}, ${x.leaf ? `log leaf ${x.leaf}` : 'not logged yet'}`], ['Record', x.record_id],
                 ...Object.entries(d.notes).filter(([k, v]) => typeof v === 'string' && k !== 'held')];
  close.addEventListener('click', () => { $('details').replaceChildren(); view('timeline'); });
  $('details').replaceChildren(close, el('h2', {}, `${n}  ${x.method} ${x.target}`), el('p', {}, ...tags(x).map(tag)),
    el('dl', {}, ...facts.filter(([, v]) => v).flatMap(([k, v]) => [el('dt', {}, k), el('dd', {}, marked(String(v)))])),
    ...(d.messages.length ? [el('h3', {}, `${x.messages.length} messages`), talk(x, d.messages, here)] : []),
    ...message('Request', d.request_head, d.request_body), ...message('Response', d.response_head, d.response_body));
  $('details').querySelector('.here')?.scrollIntoView({ block: 'center' });
}

// ---- hands on it ----

$('list').addEventListener('click', e => {
  const b = e.target.closest('button');
  if (b?.dataset.further) {
    state.limit += ROWS;
    showTimeline();
  } else if (b) {
    openRow(state.shown[Number(b.dataset.row)], Number(b.dataset.row));
  }
});
$('search').addEventListener('input', () => { state.limit = ROWS; state.at = -1; showTimeline(); });
$('told').addEventListener('click', () => { state.told = !state.told; if (state.page) showPage(state.page); });
$('scripts').addEventListener('change', () => { if (state.page) showPage(state.page); });
$('before').addEventListener('click', () => step(-1));
$('next').addEventListener('click', () => step(1));
$('play').addEventListener('click', () => play(!state.playing));
$('help').addEventListener('click', () => $('about').showModal());
for (const b of document.querySelectorAll('[data-tab]')) b.addEventListener('click', () => view(b.dataset.tab));

const keys = {
  ArrowDown: () => moveTo(state.at + 1, true), j: () => moveTo(state.at + 1, true), ArrowUp: () => moveTo(state.at - 1, true), k: () => moveTo(state.at - 1, true),
  ArrowRight: () => step(1), ArrowLeft: () => step(-1), ' ': () => play(!state.playing), s: () => $('scripts').click(), d: () => $('told').hidden || $('told').click(), '/': () => { view('timeline'); $('search').focus(); }, '?': () => $('about').showModal(),
};
document.addEventListener('keydown', e => {
  if (e.key === 'Escape' && e.target === $('search')) {
    $('search').value = '';
    $('search').dispatchEvent(new Event('input'));
    $('list').querySelector('button')?.focus();
  }
  const typing = e.target.matches('input[type=search], dialog *'), pressing = e.key === ' ' && e.target.matches('button, input');
  if (typing || pressing || e.ctrlKey || e.metaKey || e.altKey || !keys[e.key]) return;
  e.preventDefault();
  keys[e.key]();
});

// ---- the beginning ----

function chips() {
  for (const [name, [label]] of Object.entries(filters)) {
    const b = el('button', { type: 'button', 'aria-pressed': 'false' }, label);
    b.addEventListener('click', () => {
      if (!state.only.delete(name)) state.only.add(name);
      b.setAttribute('aria-pressed', String(state.only.has(name)));
      state.limit = ROWS;
      showTimeline();
    });
    $('chips').append(b);
  }
}

function who() {
  const s = state.session, first = state.exchanges[0], last = state.exchanges.at(-1);
  $('who').append(el('b', {}, s.person ?? s.identity ?? 'A recording'), ` in ${s.tool ?? s.recorded_host ?? 'a tool'}`,
    first ? `, ${day(first.started_ms)} ${clock(first.started_ms)} to ${clock(last.ended_ms)} UTC` : '', s.reason ? el('span', { className: 'soft' }, ` – “${s.reason}”`) : '');
}

function empty(text) {
  $('frame').replaceChildren(el('p', { className: 'empty' }, text));
}

try {
  const all = await api('/api/session');
  Object.assign(state, { session: all.session, exchanges: all.exchanges, suffix: all.content, pages: all.exchanges.filter(x => x.kind === 'page') });
  state.rows = build(all.session, all.exchanges);
  chips();
  who();
  showTimeline();
  if (state.pages.length) step(0);
  else empty(state.exchanges.length ? 'No page was opened in this session: it was used by a program. The timeline has its requests.' : 'Nothing was recorded in this session yet.');
  view('timeline');
  for (const n of all.session.nodes ?? []) notice(`Recorded by ${n.node}: ${n.text}.`);
  for (const d of all.damage) notice(`${d.segment ? `Segment ${d.segment} cannot be read: ` : 'Missing '}${d.why}. Next: countersign verify`);
} catch (e) {
  empty(`This replay cannot be opened: ${e.message}`);
}

// The player of what a page's browser told (proxy/dom/README.md). rrweb draws into a frame without scripts; the page's policy lets nothing in or out. What could name another host to the network in a way that no
// policy covers is taken out before it is drawn.
'use strict';
const $ = id => document.getElementById(id), SHORTENED_MS = 2000;
const state = { docs: new Map(), replayer: null, total: 0, timer: 0, playing: false, starts: 0 };

function say(text) {
  const p = document.createElement('p');
  p.className = 'empty';
  p.textContent = text;
  $('stage').replaceChildren(p);
}

const clock = ms => `${Math.floor(ms / 60000)}:${String(Math.floor(ms / 1000) % 60).padStart(2, '0')}`;

// ---- what is drawn ----

const never = new Set(['script', 'object', 'embed', 'base', 'portal', 'fencedframe', 'applet']);
function disarm(node, depth = 0) {
  if (!node || typeof node !== 'object' || depth > 4000) return;
  const a = node.attributes && typeof node.attributes === 'object' ? node.attributes : null;
  if (typeof node.tagName === 'string' && never.has(node.tagName.toLowerCase())) node.tagName = 'noscript';
  if (a) disarmAttributes(a, node.tagName);
  if (Array.isArray(node.childNodes)) for (const c of node.childNodes) disarm(c, depth + 1);
}
function disarmAttributes(a, tag) {
  for (const name of Object.keys(a)) if (/^(http-equiv|srcdoc|ping|rr_src|on.*)$/i.test(name)) delete a[name];
  if (tag === undefined || /^(link|iframe|frame)$/i.test(tag)) for (const name of Object.keys(a)) if (/^(rel|src)$/i.test(name)) delete a[name];
}
function safe(event) {
  const d = event?.data;
  if (!d || typeof event.type !== 'number' || typeof event.timestamp !== 'number') return false;
  disarm(d.node);
  if (Array.isArray(d.adds)) d.adds.forEach(add => disarm(add?.node));
  if (Array.isArray(d.attributes)) d.attributes.forEach(m => m?.attributes && disarmAttributes(m.attributes));
  return event.type !== 5 && event.type !== 6;
}

// ---- what was told ----

function gap(text) {
  const li = document.createElement('li');
  li.textContent = text;
  $('gaps').append(li);
}

function read(uploads) {
  for (const u of uploads) {
    if (!u.said || typeof u.said.doc !== 'string' || !Array.isArray(u.said.events)) {
      gap(`An upload (exchange ${u.n}) cannot be read.`);
      continue;
    }
    if (!state.docs.has(u.said.doc)) state.docs.set(u.said.doc, []);
    state.docs.get(u.said.doc).push(u);
  }
}

// One loading of the page: its events in the order in which they were made, and what is missing.
function told(uploads) {
  const events = [];
  let next = 0;
  uploads.sort((a, b) => a.said.seq - b.said.seq);
  for (const u of uploads) {
    if (u.said.seq > next) gap(`${u.said.seq - next} upload${u.said.seq - next === 1 ? ' is' : 's are'} missing before exchange ${u.n}.`);
    if (u.said.lost > 0) gap(`Before exchange ${u.n} the browser lost ${u.said.lost} events: ${String(u.said.why).slice(0, 100)}.`);
    if (u.refused) gap(`Exchange ${u.n}: ${u.refused}.`);
    next = Math.max(next, u.said.seq + 1);
    events.push(...u.said.events);
  }
  return events.filter(safe).sort((a, b) => a.timestamp - b.timestamp);
}

// ---- playing ----

function fit() {
  const wrapper = $('stage').querySelector('.replayer-wrapper'), frame = wrapper?.querySelector('iframe');
  if (!frame) return;
  const width = Number(frame.getAttribute('width')) || 1024, height = Number(frame.getAttribute('height')) || 768;
  wrapper.style.transform = `scale(${Math.min($('stage').clientWidth / width, $('stage').clientHeight / height, 1)})`;
}

function tick() {
  const at = state.replayer ? Math.min(state.replayer.getCurrentTime(), state.total) : 0;
  $('seek').value = at;
  $('time').textContent = `${clock(Math.max(at, 0))} / ${clock(state.total)}`;
}

function playing(on) {
  state.playing = on;
  $('play').setAttribute('aria-pressed', String(on));
  $('play').textContent = on ? 'Pause' : 'Play';
  clearInterval(state.timer);
  if (on) state.timer = setInterval(tick, 100);
  tick();
}

function seek(ms, on) {
  if (!state.replayer) return;
  if (on) state.replayer.play(ms);
  else state.replayer.pause(ms);
  playing(on);
}

function open(name) {
  state.replayer?.destroy();
  state.replayer = null;
  $('gaps').replaceChildren();
  $('stage').replaceChildren();
  playing(false);
  const events = told(state.docs.get(name) ?? []);
  if (events.length < 2 || !events.some(e => e.type === 2)) return say('This browser told too little to draw the page.');
  state.replayer = new rrwebReplay.Replayer(events, { root: $('stage'), mouseTail: false, showWarning: false, showDebug: false, triggerFocus: false, UNSAFE_replayCanvas: false, skipInactive: $('idle').checked,
                                                      inactivePeriodThreshold: SHORTENED_MS, speed: Number($('speed').value), logger: { log() {}, warn() {} } });
  state.total = state.replayer.getMetaData().totalTime;
  $('seek').max = state.total;
  state.replayer.on('resize', fit);
  state.replayer.on('finish', () => playing(false));
  seek(0, false);
  fit();
}

async function begin() {
  const all = await (await fetch('/events.json')).json();
  if (typeof rrwebReplay === 'undefined')
    return say('The player is not installed on this machine. Next: config/install dom, then build and install; or replay --player FOLDER, with replay.js and replay.css.');
  read(all.uploads);
  const names = [...state.docs.keys()];
  if (names.length === 0) return say('Nothing was told of this page.');
  names.forEach((n, i) => $('doc').append(new Option(String(i + 1), n)));
  $('loadings').hidden = names.length < 2;
  open(names[0]);
}

$('play').addEventListener('click', () => seek(state.playing ? state.replayer.getCurrentTime() : Number($('seek').value) >= state.total ? 0 : Number($('seek').value), !state.playing));
$('seek').addEventListener('input', () => seek(Number($('seek').value), false));
$('speed').addEventListener('change', () => state.replayer?.setConfig({ speed: Number($('speed').value) }));
$('idle').addEventListener('change', () => state.replayer?.setConfig({ skipInactive: $('idle').checked }));
$('doc').addEventListener('change', () => open($('doc').value));
addEventListener('resize', fit);
begin().catch(e => say(`What the browser told cannot be drawn: ${e.message}`));

// What a page of the console does by itself, and could do without: times in the reader's own time zone, how much of them is left, and a look now and then whether
// what the page shows has changed. It decides nothing, sends nothing but GET, and writes text only.
'use strict';

const zone = new Intl.DateTimeFormat(undefined, { year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'short' });
for (const time of document.querySelectorAll('time[datetime]')) {
  time.title = time.textContent;
  time.textContent = zone.format(new Date(time.dateTime));
}

// As the gateway words it (pages.c).
function words(s) {
  const [n, unit] = s >= 2 * 86400 ? [86400, 'days'] : s >= 7200 ? [3600, 'h'] : s >= 120 ? [60, 'min'] : [1, 's'];
  return s > 0 ? `(${Math.floor(s / n)} ${unit} left)` : '(over)';
}
function countDown() {
  for (const left of document.querySelectorAll('[data-until]'))
    left.textContent = words(Number(left.dataset.until) - Math.floor(Date.now() / 1000));
}
if (document.querySelector('[data-until]')) setInterval(countDown, 5000);

// ---- what changes ----

const live = document.querySelector('[data-look]');
let touched = false, timer = 0;
document.addEventListener('input', () => { touched = true; });

async function read(path) {
  const answer = await fetch(path, { headers: { Accept: 'application/json' } });
  if (answer.status >= 500) throw new Error('not available');
  return answer.ok ? answer.json() : null;
}

// The state of each request that concerns who looks, by id; null: this is no longer theirs to see.
async function states() {
  if (live.dataset.look !== '/') {
    const answer = await read('/api/v1' + live.dataset.look);
    return answer && new Map([[answer.item.id, answer.item.state]]);
  }
  const [status, pending] = await Promise.all([read('/api/v1/status'), read('/api/v1/pending')]);
  if (!status || !pending) return null;
  const found = new Map();
  for (const item of [...status.requests, ...status.held, ...pending.items]) found.set(item.id, item.state);
  for (const grant of status.grants) found.set(grant.grant_id, 'live');
  return found;
}

function differs(now) {
  const shown = new Map([...document.querySelectorAll('[data-watch]')].map(e => [e.dataset.watch, e.dataset.state]));
  if (now === null) return true;
  for (const [id, state] of now) if (shown.get(id) !== state) return true;
  return live.dataset.look === '/' && shown.size !== now.size;
}

// Never from under somebody's hands: who types, or has opened something, is told instead.
function changed() {
  const busy = touched || document.querySelector('button:disabled') !== null || document.querySelector('details[open]') !== null;
  if (!busy) return location.replace(location.pathname);
  const again = document.createElement('a');
  again.href = location.pathname;
  again.textContent = 'Show it';
  live.className = 'live next';
  live.replaceChildren('Something here has changed meanwhile. ', again);
}

async function look() {
  try {
    if (differs(await states())) return changed();
    if (live.classList.contains('lost')) {
      live.className = 'live';
      live.replaceChildren();
    }
  } catch {
    live.className = 'live next lost';
    live.textContent = 'The gateway does not answer. What stands here may be out of date; this page goes on trying.';
  }
  later();
}
function later() {
  clearTimeout(timer);
  timer = setTimeout(look, document.hidden ? 30000 : 5000);
}
if (live) {
  later();
  document.addEventListener('visibilitychange', () => { if (!document.hidden && timer) { clearTimeout(timer); void look(); } });
}

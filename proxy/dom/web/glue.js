// Starts the recorder in a page and sends what it records to the gateway (../README.md). In scope: `recorder` (rrweb's), `settings` ({events, most, show, hide}).
// Nothing of this may break the page: whatever fails here ends the recording, not the page. It is the browser's claim: whoever owns the page's scripts can say anything here.
var tag = document.currentScript;
var page = tag && tag.getAttribute("data-countersign");
var send = window.fetch, now = Date.now, later = window.setTimeout;
var mark = Symbol.for("countersign.dom");
if (tag)
  tag.remove();                       // what the page finds in its head is its own

function recordedByParent() {
  try {
    return window.parent !== window && Boolean(window.parent[mark]);   // a frame of the same origin: the recorder outside sees into it
  } catch (e) {
    return false;
  }
}

if (!page || window[mark] || self.origin === "null" || typeof send !== "function" || recordedByParent())
  return;
Object.defineProperty(window, mark, { value: true });

var SOON_MS = 2000, FULL_BYTES = 256 * 1024, WAITING_MAX = 2 * settings.most, KEEPALIVE_MAX = 60 * 1024, ROOM = 1024;
var TRIES_AGAIN_MS = [5000, 15000, 60000];
var doc = Array.from(crypto.getRandomValues(new Uint8Array(8)), b => b.toString(16).padStart(2, "0")).join("");
var seq = 0, lost = 0, why = "", waiting = [], bytes = 0, sending = false, failed = 0, timer = 0, ended = false, stop = null, snapshotDue = false;

function loses(count, reason) {
  lost += count;
  why = reason;
}

function body(events) {
  var head = { v: 1, page: page, doc: doc, seq: seq, lost: lost, why: why, at: location.pathname, events: [] };
  return JSON.stringify(head).slice(0, -2) + events.join(",") + "]}";
}

// As many of the events that wait as one upload holds.
function take(most) {
  var size = 0, n = 0;
  while (n < waiting.length && (n === 0 || size + waiting[n].length * 3 < most))
    size += waiting[n++].length * 3;
  var taken = waiting.splice(0, n);
  for (var i = 0; i < taken.length; i++)
    bytes -= taken[i].length;
  return taken;
}

function finish() {
  ended = true;
  waiting = [];
  bytes = 0;
  if (stop)
    stop();
}

function failsWith(status, count) {
  loses(count, status ? "status " + status : "network");
  if (status === 401 || status === 403 || status === 404)
    return finish();                  // the grant has ended, or the recording
  snapshotDue = true;                 // what follows a gap is worth nothing without a new picture of the whole
  return again(TRIES_AGAIN_MS[Math.min(failed++, TRIES_AGAIN_MS.length - 1)]);
}

function flush(last) {
  if (ended || waiting.length === 0 || (sending && !last))
    return;
  if (snapshotDue && !last) {
    snapshotDue = false;
    loses(waiting.length, why);
    waiting = [];
    bytes = 0;
    recorder.record.takeFullSnapshot();   // comes in through onEvent
  }
  var events = take(last ? KEEPALIVE_MAX : settings.most - ROOM), text = body(events), count = events.length, had = lost, reason = why;
  if (new Blob([text]).size > settings.most) {
    loses(count, "too large");
    return again(SOON_MS);
  }
  seq++;
  lost = 0;
  why = "";
  sending = true;
  send(settings.events, { method: "POST", headers: { "content-type": "application/json" }, body: text, credentials: "same-origin", cache: "no-store", redirect: "error", keepalive: Boolean(last) })
    .then(function (answer) {
      sending = false;
      if (answer.ok) {
        failed = 0;
        if (waiting.length > 0)
          again(bytes > FULL_BYTES ? 0 : SOON_MS);
        return;
      }
      loses(had, reason);
      failsWith(answer.status, count);
    }, function () {
      sending = false;
      loses(had, reason);
      failsWith(0, count);
    });
}

function again(ms) {
  if (timer === 0 && !ended)
    timer = later(function () {
      timer = 0;
      flush(false);
    }, ms);
}

function onEvent(event) {
  var text = JSON.stringify(event);
  if (ended)
    return;
  if (bytes + text.length > WAITING_MAX) {
    loses(waiting.length + 1, "too much at a time");
    waiting = [];
    bytes = 0;
    snapshotDue = true;
    return again(SOON_MS);
  }
  waiting.push(text);
  bytes += text.length;
  again(bytes > FULL_BYTES ? 0 : SOON_MS);
}

function selectors(list) {
  return list.filter(function (one) {
    try {
      document.createDocumentFragment().querySelector(one);
      return true;
    } catch (e) {
      return false;
    }
  }).join(",");
}

var shown = selectors(settings.show), hidden = selectors(settings.hide);

// A password stays one when the page shows it in clear: rrweb remembers what type an input had.
function masked(text, element) {
  var open = shown && element && element.matches && element.matches(shown) && element.type !== "password" && !/password|one-time-code|cc-/.test(element.autocomplete || "") &&
    !element.hasAttribute("data-rr-is-password");
  return open ? text : "*".repeat(Math.min(text.length, 64));
}

// The value that an input had in the HTML, and tokens in meta elements, which rrweb leaves as they are.
function scrub(node) {
  var a = node.attributes, element = node.tagName && recorder.record.mirror.getNode(node.id);
  if (a && /^(input|textarea|select)$/.test(node.tagName) && typeof a.value === "string" && !/^(radio|checkbox|submit|button|reset|image)$/i.test(a.type || ""))
    a.value = /^\**$/.test(a.value) ? a.value : masked(a.value, element);
  if (node.tagName === "textarea")
    node.childNodes = [];             // its value says what it shows
  if (a && node.tagName === "meta" && /csrf|xsrf|token|secret|key/i.test(a.name || a.property || ""))
    a.content = "";
  for (var i = 0; node.childNodes && i < node.childNodes.length; i++)
    scrub(node.childNodes[i]);
}

function scrubbed(event) {
  var d = event.data;
  if (event.type === 2 && d.node)
    scrub(d.node);
  if (event.type === 3 && d.source === 0 && d.adds)
    d.adds.forEach(function (add) { scrub(add.node); });
  return plainAddress(event);
}

// Of an address that the recording has already, without its query: secrets may stand there, and the gateway takes them out of the requests only.
function plainAddress(event) {
  if (event.type === 4 && event.data && typeof event.data.href === "string")
    event.data.href = event.data.href.replace(/[?#].*$/, "");
  return event;
}

stop = recorder.record({
  emit: function (event) {
    try {
      onEvent(scrubbed(event));
    } catch (e) {
      finish();
    }
  },
  recordAfter: "DOMContentLoaded",
  maskAllInputs: false,               // then every kind of input stands below, hidden ones too: form tokens
  maskInputOptions: { input: true, textarea: true, select: true, password: true },
  maskInputFn: masked,
  blockSelector: hidden || null,
  slimDOMOptions: { script: true, comment: true },
  inlineImages: false,
  collectFonts: false,
  recordCanvas: false,
  recordCrossOriginIframes: false,
  sampling: { mousemove: 100, scroll: 150, media: 800 },
  errorHandler: function () { return true; }
});
addEventListener("pagehide", function () { flush(true); });
document.addEventListener("visibilitychange", function () {
  if (document.visibilityState === "hidden")
    flush(true);
});

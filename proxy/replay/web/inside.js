// Runs in each recorded page before the page's own scripts, so that they find what they found then: the clock of that time, the tool's host, and its WebSockets. It is a convenience and no
// wall: what a page may reach is said by the sandbox and by the policy that comes with every answer (proxy/replay/content_exchange.c).
(() => {
  'use strict';
  const me = document.currentScript, host = me.dataset.host, then = Number(me.dataset.at), here = location.origin;
  me.remove();

  // The page's clock goes on from the moment when it was asked for.
  const RealDate = Date, started = RealDate.now(), now = () => then + (RealDate.now() - started);
  if (then > 0) {
    const Then = function Date(...args) {
      if (!new.target) return new RealDate(now()).toString();
      return Reflect.construct(RealDate, args.length ? args : [now()], new.target === Then ? RealDate : new.target);
    };
    Object.setPrototypeOf(Then, RealDate);
    Then.prototype = RealDate.prototype;
    Then.now = now;
    Object.defineProperty(Then, 'length', { value: 7 });
    RealDate.prototype.constructor = Then;
    window.Date = Then;
  }

  // Storage of its own, empty as in a new profile and gone with the page: browsers refuse it to frames of other sites, and nothing of a recording should stay on the auditor's disk.
  const storage = () => {
    const kept = new Map(), methods = { getItem: k => kept.get(String(k)) ?? null, setItem: (k, v) => { kept.set(String(k), String(v)); }, removeItem: k => { kept.delete(String(k)); },
      clear: () => kept.clear(), key: i => [...kept.keys()][i] ?? null };
    return new Proxy(Object.create(methods), { get: (t, k) => k === 'length' ? kept.size : k in methods ? methods[k] : kept.get(k), set: (t, k, v) => { kept.set(String(k), String(v)); return true; },
      has: (t, k) => k in methods || kept.has(k), deleteProperty: (t, k) => { kept.delete(k); return true; }, ownKeys: () => [...kept.keys()],
      getOwnPropertyDescriptor: (t, k) => kept.has(k) ? { value: kept.get(k), writable: true, enumerable: true, configurable: true } : undefined });
  };
  for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(window, name, { value: storage(), configurable: true });
  const cookies = new Map();
  Object.defineProperty(document, 'cookie', { configurable: true, get: () => [...cookies].map(([k, v]) => `${k}=${v}`).join('; '), set: text => {
    const [pair, ...rest] = String(text).split(';'), at = pair.indexOf('='), name = pair.slice(0, Math.max(at, 0)).trim();
    if (rest.some(r => /^\s*max-age\s*=\s*(0|-)/i.test(r) || (/^\s*expires\s*=/i.test(r) && RealDate.parse(r.split('=')[1]) < now()))) cookies.delete(name);
    else cookies.set(name, pair.slice(at + 1).trim());
  } });

  // Absolute addresses of the tool's own host are this page's.
  const local = address => {
    try {
      const u = new URL(address, document.baseURI);
      return host && u.host === host ? here + u.pathname + u.search + u.hash : address;
    } catch {
      return address;
    }
  };
  const open = XMLHttpRequest.prototype.open, ask = window.fetch, Stream = window.EventSource;
  XMLHttpRequest.prototype.open = function (method, address, ...rest) { return open.call(this, method, local(String(address)), ...rest); };
  window.fetch = function fetch(what, options) { return ask.call(window, what instanceof Request ? what : local(String(what)), options); };
  if (Stream) {
    window.EventSource = function EventSource(address, options) { return new Stream(local(String(address)), options); };
    Object.assign(window.EventSource, { CONNECTING: 0, OPEN: 1, CLOSED: 2, prototype: Stream.prototype });
  }

  // Hints that would name other hosts to the network (content_exchange.c does the same to those in the page's markup).
  const harmless = rel => String(rel).replace(/preconnect|dns-prefetch/gi, word => 'x' + word.slice(1)), rel = Object.getOwnPropertyDescriptor(HTMLLinkElement.prototype, 'rel');
  const set = Element.prototype.setAttribute;
  Object.defineProperty(HTMLLinkElement.prototype, 'rel', { ...rel, set(v) { rel.set.call(this, harmless(v)); } });
  Element.prototype.setAttribute = function setAttribute(name, v) { set.call(this, name, this instanceof HTMLLinkElement && /^rel$/i.test(name) ? harmless(v) : v); };

  // No line to anybody: policies of older browsers don't know of these.
  for (const name of ['RTCPeerConnection', 'webkitRTCPeerConnection', 'RTCDataChannel', 'WebTransport', 'WebSocketStream']) delete window[name];

  // A WebSocket says what it said then, with the pauses it made, long ones shortened; what the page sends goes nowhere.
  const LONGEST_MS = 1000, states = { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 };
  const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const wait = ms => new Promise(done => setTimeout(done, ms));
  class Replayed extends EventTarget {
    #state = 0; #handlers = {}; #protocol = '';
    binaryType = 'blob';
    constructor(address, protocols) {
      super();
      const u = new URL(address, document.baseURI);
      u.protocol = { 'http:': 'ws:', 'https:': 'wss:' }[u.protocol] ?? u.protocol;
      if (!/^wss?:$/.test(u.protocol)) throw new DOMException(`The URL's scheme must be either 'ws' or 'wss'.`, 'SyntaxError');
      Object.defineProperty(this, 'url', { value: u.href, enumerable: true });
      this.#play(u.host === location.host || u.host === host ? u.pathname + u.search : null, [protocols].flat()).catch(() => this.#end(1006, ''));
    }
    get readyState() { return this.#state; }
    get bufferedAmount() { return 0; }
    get extensions() { return ''; }
    get protocol() { return this.#protocol; }
    send() { if (this.#state === 0) throw new DOMException('Still in CONNECTING state.', 'InvalidStateError'); }
    close(code = 1000, reason = '') { if (this.#state < 2) { this.#state = 2; setTimeout(() => this.#end(code, reason)); } }
    async #play(target, protocols) {
      const got = target === null ? {} : await (await ask.call(window, `${here}/.countersign/replay/socket?target=${encodeURIComponent(target)}`)).json();
      if (this.#state !== 0) return;
      if (!got.found) {
        this.dispatchEvent(new Event('error'));
        return this.#end(1006, '');
      }
      this.#protocol = protocols.includes(got.protocol) ? got.protocol : '';
      this.#state = 1;
      this.dispatchEvent(new Event('open'));
      let at = 0;
      for (const m of got.messages) {
        await wait(Math.min(LONGEST_MS, Math.max(0, m.ms - at)));
        at = m.ms;
        if (this.#state !== 1) return;
        if ('close' in m) return this.#end(m.close, m.reason);
        this.dispatchEvent(new MessageEvent('message', { data: this.#data(m), origin: this.url.replace(/^(wss?:\/\/[^/]*).*/, '$1') }));
      }
    }
    #data(m) {
      if ('text' in m) return m.text;
      return this.binaryType === 'arraybuffer' ? bytes(m.base64).buffer : new Blob([bytes(m.base64)]);
    }
    #end(code, reason) {
      if (this.#state === 3) return;
      this.#state = 3;
      this.dispatchEvent(new CloseEvent('close', { code, reason, wasClean: code !== 1006 }));
    }
    static {
      for (const type of ['open', 'message', 'error', 'close'])
        Object.defineProperty(this.prototype, 'on' + type, {
          get() { return this.#handlers[type]?.said ?? null; },
          set(said) {
            if (this.#handlers[type]) this.removeEventListener(type, this.#handlers[type].heard);
            const heard = e => said.call(this, e);
            this.#handlers[type] = typeof said === 'function' ? { said, heard } : undefined;
            if (this.#handlers[type]) this.addEventListener(type, heard);
          },
        });
      for (const [name, value] of Object.entries(states)) for (const on of [this, this.prototype]) Object.defineProperty(on, name, { value, enumerable: true });
    }
  }
  window.WebSocket = Object.defineProperty(Replayed, 'name', { value: 'WebSocket' });
})();

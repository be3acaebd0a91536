// The only script of the console: it makes a key in the browser, and signs answers with it. It shows nothing that the page does not show, and writes
// text only (the page's policy demands Trusted Types and allows no inline script).
'use strict';

const bytesOf = text => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), c => c.charCodeAt(0));
const textOf = bytes => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');

// RFC 8785 for what a statement holds: objects, strings, integers. The challenge is made here, from the statement, not taken from the answer.
function canonical(value) {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return '[' + value.map(canonical).join(',') + ']';
  return '{' + Object.keys(value).sort().map(k => JSON.stringify(k) + ':' + canonical(value[k])).join(',') + '}';
}
const challengeOf = statement => crypto.subtle.digest('SHA-256', new TextEncoder().encode(canonical(statement)));

async function call(path, body) {
  // What was signed may have arrived though the answer did not: then the page has to be looked at again before anything else is done.
  const lost = path.endsWith('/decisions') ? 'The gateway did not answer, so whether your signature arrived is not known. Load this page again to see.'
    : 'The gateway does not answer, so nothing was signed. Look at your network and try again.';
  const r = await fetch(path, { method: 'POST', headers: body ? { 'Content-Type': 'application/json' } : {}, body: body && JSON.stringify(body) })
    .catch(() => { throw new Error(lost); });
  const answer = await r.json().catch(() => { throw new Error(lost); });
  if (!r.ok) throw new Error([answer.detail || answer.title, answer.next].filter(Boolean).map(s => s[0].toUpperCase() + s.slice(1)).join('. ').replaceAll('..', '.').replaceAll('`', ''));
  return answer;
}

function reason(e) {
  if (e.name === 'NotAllowedError') return 'Nothing was signed: the browser was told to stop, or nobody answered in time. Try again.';
  if (e.name === 'InvalidStateError') return 'This authenticator holds a key of yours already. Use another one.';
  if (e.name === 'SecurityError') return 'The browser does not let this page use keys: open the console at its own address, with a certificate the browser trusts.';
  return e.message;
}

// Run it once at a time; say how it goes where a screen reader hears it.
async function run(form, action) {
  const say = form.querySelector('[role=status]'), buttons = form.querySelectorAll('button');
  buttons.forEach(b => { b.disabled = true; });
  say.textContent = 'Waiting for your key: follow what the browser asks.';
  try {
    if (!window.PublicKeyCredential) throw new Error('This browser has no way to use keys (WebAuthn). Use another one, or the command line.');
    await action();
  } catch (e) {
    say.textContent = reason(e);
    buttons.forEach(b => { b.disabled = false; });
  }
}

async function register(form) {
  const { id, statement, options } = await call('/api/v1/keys/new');
  const made = await navigator.credentials.create({ publicKey: {
    challenge: await challengeOf(statement), rp: options.rp, timeout: options.timeout_s * 1000, attestation: options.attestation ?? 'none',
    user: { ...options.user, id: bytesOf(options.user.id) },
    pubKeyCredParams: options.algorithms.map(alg => ({ type: 'public-key', alg })),
    excludeCredentials: options.exclude.map(one => ({ type: 'public-key', id: bytesOf(one) })),
    authenticatorSelection: { userVerification: 'required', residentKey: 'discouraged' } } });
  await call('/api/v1/keys', { id, label: form.elements.label.value, client_data: textOf(made.response.clientDataJSON),
    attestation: textOf(made.response.attestationObject) });
  location.assign('/keys?made=1');
}

// What is asked to be signed must be what this page shows.
function insist(same) {
  if (!same) throw new Error('The gateway asks to sign something else than this page shows. Nothing was signed. Tell your security team.');
}
const sorted = names => names.split(',').sort().join(',');

// What a yes to a request for access is for: what was asked, unless the approver made it shorter or took actions away. `less` is what the API is told of that.
function answerOf(form, decision) {
  const shown = form.dataset, ticks = [...form.querySelectorAll('[name=action]')], on = ticks.filter(t => t.checked).map(t => t.value);
  const answer = { duration: shown.duration, actions: shown.actions || '*', less: {} };
  if (decision !== 'approve' || shown.purpose !== 'access') return answer;
  const seconds = Number(form.elements.minutes.value) * 60;
  if (seconds < Number(shown.duration)) {
    answer.less.duration_s = seconds;
    answer.duration = String(seconds);
  }
  if (ticks.length > 0 && on.length === 0) throw new Error('A yes to no action gives nothing: tick one, or say no.');
  if (on.length < ticks.length) {
    answer.less.actions = on;
    answer.actions = on.join(',');
  }
  return answer;
}

// Why not, of a no.
const whyNot = (form, decision) => decision === 'deny' ? (form.elements.why?.value ?? '').trim() : '';

function check(statement, form, decision, answer) {
  const shown = form.dataset, scope = statement.scope;
  insist((scope.answer ?? '') === whyNot(form, decision));
  insist(statement.decision === decision && statement.key === form.elements.key.value && statement.requester === shown.requester &&
    statement.purpose === shown.purpose && (shown.purpose !== 'signoff' || scope.digest === shown.digest) &&
    (shown.purpose !== 'access' || (scope.tool === shown.tool && scope.reason === shown.reason && String(scope.duration_s) === answer.duration &&
      sorted(scope.actions ?? '*') === sorted(answer.actions) && (scope.extends ?? '') === shown.extends &&
      String(scope.start_within_s ?? 0) === shown.startWithin)) && (scope.on_behalf_of ?? '') === shown.actingFor &&
    (shown.purpose !== 'register-key' || scope.key === shown.newKey) &&
    (shown.purpose !== 'policy' || (statement.policy === shown.policy && scope.was === shown.was && scope.changes === shown.changes)));
}

async function sign(statement, webauthn) {
  const got = await navigator.credentials.get({ publicKey: { challenge: await challengeOf(statement), rpId: webauthn.rp_id, userVerification: 'required',
    timeout: 300000, allowCredentials: [{ type: 'public-key', id: bytesOf(webauthn.credential) }] } });
  await call('/api/v1/decisions', { statement_id: statement.id, client_data: textOf(got.response.clientDataJSON),
    authenticator_data: textOf(got.response.authenticatorData), signature: textOf(got.response.signature) });
}

async function decide(form, decision) {
  const answer = answerOf(form, decision);
  const why = whyNot(form, decision), asked = { decision, key: form.elements.key.value, ...answer.less, ...(why ? { reason: why } : {}) };
  const { statement, webauthn } = await call(`/api/v1/items/${form.dataset.item}/statement`, asked);
  check(statement, form, decision, answer);
  await sign(statement, webauthn);
  location.assign(`/items/${form.dataset.item}?done=${decision}`);
}

async function unlock(form) {
  const shown = form.dataset, key = form.elements.key.value, why = form.elements.reason.value;
  const { statement, webauthn } = await call(`/api/v1/locks/${shown.lock}/statement`, { key, reason: why });
  const scope = statement.scope;
  insist(statement.purpose === 'unlock' && statement.decision === 'approve' && statement.key === key && statement.requester === shown.value &&
    scope.lock_id === shown.lock && scope.kind === shown.kind && scope.value === shown.value && scope.reason === why);
  await sign(statement, webauthn);
  location.assign('/locks?lifted=1');
}

// What a reviewer found about a use of break-glass.
async function review(form, outcome) {
  const shown = form.dataset, key = form.elements.key.value, words = form.elements.words.value;
  const { statement, webauthn } = await call(`/api/v1/reviews/${shown.review}/statement`, { key, outcome, words });
  const scope = statement.scope;
  insist(statement.purpose === 'review' && statement.decision === 'approve' && statement.key === key && statement.requester === shown.requester &&
    scope.review === shown.review && scope.session === shown.session && scope.tool === shown.tool && scope.reason === shown.reason &&
    scope.outcome === outcome && scope.words === words);
  await sign(statement, webauthn);
  location.assign(`/items/${shown.review}?done=review`);
}

// Who answers in the signer's place for a while.
async function delegate(form) {
  const ticked = name => [...form.querySelectorAll(`[name=${name}]:checked`)].map(t => t.value);
  const person = form.elements.person.value, key = form.elements.key.value, tools = ticked('tool'), kinds = ticked('kind');
  if (tools.length === 0 || kinds.length === 0) throw new Error('Tick at least one tool, and what they may answer.');
  const until = Math.floor(Date.now() / 1000) + Number(form.elements.hours.value) * 3600 - 60;   // clocks differ a little
  const { statement, webauthn } = await call('/api/v1/delegations/statement', { key, person, tools, kinds, until });
  const scope = statement.scope;
  insist(statement.purpose === 'delegate' && statement.decision === 'approve' && statement.key === key && statement.requester === person &&
    scope.delegate === person && scope.tools === tools.join(',') && scope.kinds === kinds.join(',') && scope.until_s === until);
  await sign(statement, webauthn);
  location.assign('/delegates?named=1');
}

// A form's first button is what Enter presses: the reason for a no must never sign a yes.
for (const why of document.querySelectorAll('form[data-sign=decide] #why'))
  why.addEventListener('keydown', event => {
    if (event.key !== 'Enter') return;
    event.preventDefault();
    why.form.querySelector('button[value=deny]').focus();
  });

const actions = { register, unlock, review, delegate, decide };
for (const form of document.querySelectorAll('form[data-sign]'))
  form.addEventListener('submit', event => {
    event.preventDefault();
    const decision = event.submitter?.value;
    void run(form, () => actions[form.dataset.sign](form, decision));
  });

// Approving in real Chromium: keys of virtual authenticators (CDP's WebAuthn domain), confirmed by another person, sign yes and no on the console's
// own pages; what is altered on the way is refused; what a requester wrote never runs.
import { spawnSync } from 'node:child_process';
import dns from 'node:dns';
import { mkdirSync, readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

// Names under .localhost are this machine (RFC 6761): Playwright presents client certificates from this process, so it looks names up here.
const [lookup, lookupLater] = [dns.lookup, dns.promises.lookup];
const here = name => /(^|\.)localhost\.?$/.test(name) ? '127.0.0.1' : name;
dns.lookup = (name, ...rest) => lookup(here(name), ...rest);
dns.promises.lookup = (name, ...rest) => lookupLater(here(name), ...rest);

const facts = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const PATIENCE = 30000;
let failed = 0, picture = 0;
mkdirSync(facts.output, { recursive: true });

function expect(ok, wanted, got) {
  if (!ok) throw new Error(`expected ${wanted}; got ${String(got).slice(0, 400)}`);
}

async function shot(page, name) {
  picture++;
  await page.screenshot({ path: `${facts.output}/${String(picture).padStart(2, '0')}-${name.replace(/[^a-z0-9]+/gi, '-').toLowerCase().slice(0, 60)}.png`, fullPage: true }).catch(() => {});
}

async function step(name, page, action) {
  try {
    await action();
    console.log(`step ok: ${name}`);
  } catch (e) {
    failed++;
    console.log(`step failed: ${name}: ${String(e.message).replaceAll('\n', ' ').slice(0, 700)}`);
  }
  await shot(page, name);
}

function countersign(who, ...args) {
  const cred = facts.people[who];
  const p = spawnSync(facts.countersign, args, { encoding: 'utf8', timeout: 60000, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...facts.env,
    COUNTERSIGN_GATEWAY: facts.console, COUNTERSIGN_CERT: cred.cert, COUNTERSIGN_KEY: cred.key, COUNTERSIGN_CA: facts.ca } });
  expect(p.status === 0, `\`countersign ${args.join(' ')}\` by ${who} to succeed`, `exit ${p.status}: ${p.stdout}${p.stderr}`);
  return p.stdout;
}

const browser = await chromium.launch({ executablePath: facts.chromium, args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync', '--ignore-certificate-errors'] });
const violations = [];

async function open(who, more = {}) {
  const cred = facts.people[who];
  const context = await browser.newContext({ ignoreHTTPSErrors: true, clientCertificates: [{ origin: facts.console, certPath: cred.cert, keyPath: cred.key }],
    viewport: { width: 1200, height: 900 }, ...more });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.on('console', m => { if (/Content Security Policy|Refused to|TrustedHTML/i.test(m.text())) violations.push(m.text()); });
  page.on('pageerror', e => violations.push(String(e)));
  return page;
}

async function authenticator(page, options = {}) {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('WebAuthn.enable');
  const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', { options: { protocol: 'ctap2', transport: 'usb', hasResidentKey: true,
    hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true, ...options } });
  return { cdp, authenticatorId };
}

const text = async page => (await page.locator('main').innerText()).replace(/\s+/g, ' ');
const says = async (page, words) => { await page.locator('[role=status]', { hasText: words }).first().waitFor(); };

async function makeKey(page, label) {
  await page.goto(facts.console + '/keys');
  await page.fill('#label', label);
  await page.getByRole('button', { name: 'Make a key' }).click();
  await page.waitForURL(/made=1/);
  return (await page.content()).match(/key_[A-Za-z0-9_-]{22}/)[0];
}

const carol = await open('carol');
let keyOfCarol, device;
await step('carol makes a key in her browser', carol, async () => {
  device = await authenticator(carol);
  keyOfCarol = await makeKey(carol, 'blue key ring');
  expect(/waits for another person's yes/.test(await text(carol)), 'a key that waits', await text(carol));
});

await step('until somebody else confirmed it she cannot sign with it', carol, async () => {
  await carol.goto(`${facts.console}/items/${facts.held}`);
  expect(/no key that counts in this browser/.test(await text(carol)), 'no form to sign', await text(carol));
});

await step('she cannot confirm it herself', carol, async () => {
  await carol.goto(`${facts.console}/items/${keyOfCarol}`);
  expect(await carol.locator('button').count() === 0 && /A new approval key/.test(await text(carol)), 'a page without buttons', await text(carol));
});

await step('bob confirms it on the command line', carol, async () => {
  const said = countersign('bob', 'approve', keyOfCarol, '--yes');
  expect(/fingerprint/.test(said) && /confirmed/.test(said), 'the fingerprint and the state', said);
  await carol.goto(facts.console + '/keys');
  expect(/blue key ring counts/.test(await text(carol)), 'a key that counts', await text(carol));
});

await step('the queue shows what waits for her, and she is told of the new key', carol, async () => {
  await carol.goto(facts.console + '/');
  expect(/made in your name: blue key ring/.test(await text(carol)), 'the notice', await text(carol));
  expect((await text(carol)).includes(facts.held), 'the held request', await text(carol));
});

await step('the request is shown in full, and nothing in it runs', carol, async () => {
  await carol.goto(`${facts.console}/items/${facts.held}`);
  const shown = await text(carol);
  for (const words of ['POST https://', 'audience', 'note', "<script>document.title='pwned'</script>", 'Digest', 'ticket 4711', 'alice'])
    expect(shown.includes(words), words, shown);
  expect(!shown.includes('verysecret') && /own token, not shown/.test(shown), 'the anti-forgery token hidden', shown);
  expect(!/pwned/.test(await carol.title()), 'an unchanged title', await carol.title());
  expect(await carol.locator('main script, main img').count() === 0, 'no markup of the requester', await carol.content());
});

await step('a JSON body is shown indented and inert', carol, async () => {
  await carol.goto(`${facts.console}/items/${facts.third}`);
  const shown = await carol.locator('pre').first().innerText();
  expect(/"ids": \[\n/.test(shown) && shown.includes('</pre><script>'), 'JSON as text', shown);
});

await step('a statement altered on the way is not signed', carol, async () => {
  await carol.route('**/statement', async route => {
    const answer = await route.fetch(), body = await answer.json();
    body.statement.scope.digest = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';
    await route.fulfill({ response: answer, json: body });
  });
  await carol.goto(`${facts.console}/items/${facts.held}`);
  await carol.getByRole('button', { name: 'Yes, sign it' }).click();
  await says(carol, 'something else than this page shows');
  await carol.unroute('**/statement');
});

await step('a member altered that the page does not show is refused by authz', carol, async () => {
  await carol.route('**/statement', async route => {
    const answer = await route.fetch(), body = await answer.json();
    body.statement.exp += 1;
    await route.fulfill({ response: answer, json: body });
  });
  await carol.goto(`${facts.console}/items/${facts.held}`);
  await carol.getByRole('button', { name: 'Yes, sign it' }).click();
  await says(carol, 'another challenge');
  await carol.unroute('**/statement');
});

for (const [name, change, words] of [
  ['another origin', d => { d.client_data = btoa(atob(d.client_data.replaceAll('-', '+').replaceAll('_', '/')).replace('https://console', 'https://support')).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', ''); }, 'another origin'],
  ['flags without user verification', d => { const b = Buffer.from(d.authenticator_data, 'base64url'); b[32] &= ~4; d.authenticator_data = b.toString('base64url'); }, 'did not verify'],
  ['another RP ID', d => { const b = Buffer.from(d.authenticator_data, 'base64url'); b[0] ^= 1; d.authenticator_data = b.toString('base64url'); }, 'another RP ID'],
  ['another counter', d => { const b = Buffer.from(d.authenticator_data, 'base64url'); b[36] ^= 1; d.authenticator_data = b.toString('base64url'); }, 'signature does not hold'],
]) {
  await step(`an answer altered on the way is refused: ${name}`, carol, async () => {
    await carol.route('**/api/v1/decisions', async route => {
      const body = route.request().postDataJSON();
      change(body);
      await route.continue({ postData: JSON.stringify(body) });
    });
    await carol.goto(`${facts.console}/items/${facts.held}`);
    await carol.getByRole('button', { name: 'Yes, sign it' }).click();
    await says(carol, words);
    await carol.unroute('**/api/v1/decisions');
  });
}

await step('an authenticator that does not verify the person signs nothing', carol, async () => {
  await device.cdp.send('WebAuthn.setUserVerified', { authenticatorId: device.authenticatorId, isUserVerified: false });
  await carol.goto(`${facts.console}/items/${facts.held}`);
  await carol.getByRole('button', { name: 'Yes, sign it' }).click();
  await says(carol, 'Nothing was signed');
  await device.cdp.send('WebAuthn.setUserVerified', { authenticatorId: device.authenticatorId, isUserVerified: true });
});

await step('with the keyboard alone carol signs her yes', carol, async () => {
  await carol.goto(`${facts.console}/items/${facts.held}`);
  await carol.locator('#key').focus();
  await carol.keyboard.press('Tab');
  expect(await carol.evaluate(() => document.activeElement.value) === 'approve', 'the yes button focused', await carol.evaluate(() => document.activeElement.outerHTML));
  await carol.keyboard.press('Enter');
  await carol.waitForURL(/done=approve/);
  expect(/your yes is in/.test(await text(carol)) && /approved/.test(await text(carol)), 'an approved request', await text(carol));
});

await step('a copied authenticator shows itself by its counter', carol, async () => {
  const { credentials } = await device.cdp.send('WebAuthn.getCredentials', { authenticatorId: device.authenticatorId });
  await device.cdp.send('WebAuthn.removeCredential', { authenticatorId: device.authenticatorId, credentialId: credentials[0].credentialId });
  await device.cdp.send('WebAuthn.addCredential', { authenticatorId: device.authenticatorId, credential: { ...credentials[0], signCount: 0 } });
  await carol.goto(`${facts.console}/items/${facts.second}`);
  await carol.getByRole('button', { name: 'Yes, sign it' }).click();
  await says(carol, 'may have been copied');
  await device.cdp.send('WebAuthn.removeCredential', { authenticatorId: device.authenticatorId, credentialId: credentials[0].credentialId });
  await device.cdp.send('WebAuthn.addCredential', { authenticatorId: device.authenticatorId, credential: { ...credentials[0], signCount: credentials[0].signCount + 100 } });
});

await step('carol says no to another one; Enter after the reason signs no yes', carol, async () => {
  await carol.goto(`${facts.console}/items/${facts.second}`);
  await carol.locator('#why').fill('not for this customer');
  await carol.keyboard.press('Enter');
  expect(await carol.evaluate(() => document.activeElement.value) === 'deny', 'the no button focused', await carol.evaluate(() => document.activeElement.outerHTML));
  await carol.keyboard.press('Enter');
  await carol.waitForURL(/done=deny/);
  expect(/your no is in/.test(await text(carol)) && /denied/.test(await text(carol)), 'a denied request', await text(carol));
});

const bob = await open('bob', { colorScheme: 'dark', viewport: { width: 390, height: 800 } });
await step('on a phone, in the dark, bob makes a key and carol confirms it with hers', bob, async () => {
  await authenticator(bob, { transport: 'internal' });
  const key = await makeKey(bob, 'phone');
  await carol.goto(`${facts.console}/items/${key}`);
  await shot(carol, 'a key to confirm');
  await carol.getByRole('button', { name: 'Yes, sign it' }).click();
  await carol.waitForURL(/done=approve/);
  await bob.goto(`${facts.console}/items/${facts.asked}`);
  expect(!/pwned/.test(await bob.title()) && (await text(bob)).includes('<script>'), 'the reason as text', await text(bob));
  const wide = await bob.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
  expect(!wide, 'nothing wider than the phone', 'a page that scrolls sideways');
});

await step('a yes to no action at all is not signed', bob, async () => {
  for (const box of await bob.locator('[name=action]').all()) await box.uncheck();
  await bob.getByRole('button', { name: 'Yes, sign it' }).click();
  await says(bob, 'tick one');
});

await step('a narrower yes that comes back wider is not signed', bob, async () => {
  await bob.route('**/statement', async route => {
    const answer = await route.fetch(), body = await answer.json();
    delete body.statement.scope.actions;
    await route.fulfill({ response: answer, json: body });
  });
  await bob.locator('[name=action][value=use]').check();
  await bob.getByRole('button', { name: 'Yes, sign it' }).click();
  await says(bob, 'something else than this page shows');
  await bob.unroute('**/statement');
});

await step('bob approves a request for access there: shorter, and without the exports', bob, async () => {
  await bob.goto(`${facts.console}/items/${facts.asked}`);
  expect(/40 of 40 requests/.test(await text(bob)), 'the budget', await text(bob));
  await bob.fill('#minutes', '5');
  await bob.locator('[name=action][value=export]').uncheck();
  await shot(bob, 'a yes to less');
  await bob.getByRole('button', { name: 'Yes, sign it' }).click();
  await bob.waitForURL(/done=approve/);
  expect(/granted/.test(await text(bob)) && /Take your yes back/.test(await text(bob)), 'a grant', await text(bob));
});

const alice = await open('alice');
await step('alice sees what is left of her budget, and asks for more time', alice, async () => {
  await alice.goto(facts.console + '/');
  expect(/of 40 requests/.test(await text(alice)), 'the budget', await text(alice));
  await alice.getByText('Need more time?').click();
  await alice.locator('[id^=why-grt_]').fill('ticket 4711: it takes longer');
  await alice.locator('[id^=for-grt_]').fill('25');
  await shot(alice, 'more time');
  await alice.getByRole('button', { name: 'Ask for more time' }).click();
  await alice.waitForURL(/asked=1/);
  expect(/a later end/.test(await text(alice)), 'the extension', await text(alice));
});

await step('bob signs that too', bob, async () => {
  const id = (await text(alice)).match(/(req_[A-Za-z0-9_-]{22}) pending/)[1];
  await bob.goto(`${facts.console}/items/${id}`);
  expect(/a later end/.test(await text(bob)), 'an extension', await text(bob));
  await bob.getByRole('button', { name: 'Yes, sign it' }).click();
  await bob.waitForURL(/done=approve/);
});

await step('alice asks for one action of a tool, sees it, and withdraws it', alice, async () => {
  await alice.goto(facts.console + '/');
  await alice.selectOption('#tool', 'billing');
  await alice.fill('#reason', 'ticket 4713: an invoice');
  await alice.getByText('Only for some actions').click();
  await alice.locator('[name=only][value="billing:use"]').check();
  await shot(alice, 'only some actions');
  await alice.getByRole('button', { name: 'Ask', exact: true }).click();
  await alice.waitForURL(/asked=1/);
  const card = alice.locator('.card', { hasText: 'ticket 4713' });
  expect(/Actions\s+use/.test(await card.innerText()), 'the action', await card.innerText());
  await card.locator('summary').click();
  await card.locator('input[name=reason]').fill('found it elsewhere');
  await card.getByRole('button', { name: 'Withdraw' }).click();
  await alice.waitForURL(/\/items\/req_/);
  expect(/cancelled/.test(await text(alice)), 'a withdrawn request', await text(alice));
});

const mallory = await open('mallory');
await step('a refused request keeps what was typed', mallory, async () => {
  await mallory.goto(facts.console + '/');
  await mallory.fill('#reason', 'a reason that took long to write');
  await mallory.fill('#minutes', '30');
  await mallory.evaluate(() => { document.querySelector('#minutes').max = '99999'; });
  await mallory.fill('#minutes', '9999');
  await mallory.getByRole('button', { name: 'Ask' }).click();
  await mallory.locator('[role=alert]').waitFor();
  expect(await mallory.inputValue('#reason') === 'a reason that took long to write' && await mallory.inputValue('#minutes') === '9999', 'the words again', await text(mallory));
});

const olga = await open('olga');
await step('olga sees who is in a tool', olga, async () => {
  await olga.goto(facts.console + '/sessions');
  expect(/alice in support/.test(await text(olga)) && /mallory in support/.test(await text(olga)), 'both', await text(olga));
  const until = /\((\d+) (min|s) left\)/.exec(await olga.locator('.card', { hasText: 'mallory' }).innerText());
  expect(until && Number(until[1]) <= (until[2] === 's' ? 300 : 5), 'the shorter time that bob gave', until && until[0]);
});

await step('and stops one', olga, async () => {
  const card = olga.locator('.card', { hasText: 'mallory' });
  await card.locator('summary').click();
  await card.locator('input[name=reason]').fill('looks odd');
  await card.getByRole('button').click();
  await olga.waitForURL(/\/locks$/);
  expect(/looks odd/.test(await text(olga)), 'the lock', await text(olga));
  await olga.goto(facts.console + '/sessions');
  expect(!/mallory/.test(await text(olga)), 'mallory gone', await text(olga));
});

await step('without a key in the browser she is given the command that lifts it', olga, async () => {
  await olga.goto(facts.console + '/locks');
  expect(/countersign unlock lck_/.test(await text(olga)) && await olga.locator('form[data-sign]').count() === 0, 'the command, no form', await text(olga));
});

await step('with one that bob confirmed she signs on the page, but not for another lock than shown', olga, async () => {
  await authenticator(olga);
  countersign('bob', 'approve', await makeKey(olga, 'control room'), '--yes');
  await olga.goto(facts.console + '/locks');
  await olga.route('**/statement', async route => {
    const answer = await route.fetch(), body = await answer.json();
    body.statement.scope.value = 'everything';
    await route.fulfill({ response: answer, json: body });
  });
  await olga.getByText('Lift it', { exact: true }).click();
  await olga.locator('form[data-sign] input[name=reason]').fill('it was a drill');
  await shot(olga, 'lifting a lock');
  await olga.getByRole('button', { name: 'Lift it, sign' }).click();
  await says(olga, 'something else than this page shows');
  await olga.unroute('**/statement');
});

await step('and lifts the lock', olga, async () => {
  await olga.getByRole('button', { name: 'Lift it, sign' }).click();
  await olga.waitForURL(/lifted=1/);
  expect(/Nothing is locked/.test(await text(olga)) && /the lock is lifted/.test(await text(olga)), 'no lock', await text(olga));
});

await step('mallory breaks the glass, and is told what that means', mallory, async () => {
  await mallory.goto(facts.console + '/');
  await mallory.getByText('An emergency, and nobody there to approve?').click();
  await mallory.fill('#glass-reason', 'the shop is down <b>now</b>');
  await shot(mallory, 'breaking the glass');
  await mallory.getByRole('button', { name: 'Break the glass' }).click();
  await mallory.waitForURL(/asked=1/);
  expect(/nobody approved this/.test(await text(mallory)) && /the shop is down <b>now<\/b>/.test(await text(mallory)), 'the grant and the notice', await text(mallory));
});

await step('bob is told first of all; a review altered on the way is not signed', bob, async () => {
  await bob.goto(facts.console + '/');
  expect(/Break-glass: access without a second person.*mallory.*still live/.test(await text(bob)), 'the notice', await text(bob));
  await bob.getByRole('link', { name: 'Review it' }).click();
  await bob.waitForURL(/items\/rev_/);
  await bob.route('**/statement', async route => {
    const answer = await route.fetch(), body = await answer.json();
    body.statement.scope.outcome = 'justified';
    await route.fulfill({ response: answer, json: body });
  });
  await bob.fill('#words', 'there was somebody to ask');
  await shot(bob, 'a review');
  await bob.getByRole('button', { name: 'Not justified, sign it' }).click();
  await says(bob, 'something else than this page shows');
  await bob.unroute('**/statement');
});

await step('and signs what he found', bob, async () => {
  await bob.getByRole('button', { name: 'Not justified, sign it' }).click();
  await bob.waitForURL(/done=review/);
  expect(/not justified/.test(await text(bob)) && /there was somebody to ask/.test(await text(bob)), 'the review', await text(bob));
});

await step('bob names olga to answer in his place, but signs no other delegation than shown', bob, async () => {
  await bob.goto(facts.console + '/delegates');
  await bob.fill('#person', 'olga');
  await bob.locator('[name=tool][value=support]').check();
  await bob.locator('[name=kind][value=signoff]').uncheck();
  await bob.route('**/statement', async route => {
    const answer = await route.fetch(), body = await answer.json();
    body.statement.scope.tools = '*';
    await route.fulfill({ response: answer, json: body });
  });
  await shot(bob, 'naming a delegate');
  await bob.getByRole('button', { name: 'Name them, sign' }).click();
  await says(bob, 'something else than this page shows');
  await bob.unroute('**/statement');
  await bob.getByRole('button', { name: 'Name them, sign' }).click();
  await bob.waitForURL(/named=1/);
  expect(/olga answers in the place of bob/.test(await text(bob)), 'the delegation', await text(bob));
});

await step('olga signs in his place, and says so; then he ends it', olga, async () => {
  countersign('alice', 'request', 'support', '--reason', 'ticket 4714', '--for', '5m');
  await olga.goto(facts.console + '/');
  await olga.locator('.card', { hasText: 'ticket 4714' }).getByRole('link', { name: 'Look at it and answer' }).click();
  expect(/You answer in the place of bob/.test(await text(olga)), 'whose place', await text(olga));
  await olga.getByRole('button', { name: 'No, sign it' }).click();
  await olga.waitForURL(/done=deny/);
  await bob.goto(facts.console + '/delegates');
  await bob.locator('summary').click();
  await bob.locator('.card input[name=reason]').fill('back again');
  await bob.getByRole('button', { name: 'End it now' }).click();
  await bob.waitForURL(/\/delegates$/);
  expect(/Nobody answers in your place/.test(await text(bob)), 'no delegation', await text(bob));
});

await step('a wider policy waits for her, in words; other words than those are not signed', olga, async () => {
  await olga.goto(facts.console + '/');
  expect((await text(olga)).includes(facts.policy), 'the change among what waits', await text(olga));
  await olga.goto(`${facts.console}/items/${facts.policy}`);
  expect(/A change of the policy/.test(await text(olga)) && /group support gains nina/.test(await text(olga)) && /2 persons of operations/.test(await text(olga)), 'what changes', await text(olga));
  for (const change of [s => { s.scope.changes = 'nothing much'; }, s => { s.policy = s.scope.was; }]) {
    await olga.route('**/statement', async route => {
      const answer = await route.fetch(), body = await answer.json();
      change(body.statement);
      await route.fulfill({ response: answer, json: body });
    });
    await olga.goto(`${facts.console}/items/${facts.policy}`);
    await olga.getByRole('button', { name: 'Yes, sign it' }).click();
    await says(olga, 'something else than this page shows');
    await olga.unroute('**/statement');
  }
});

await step('she signs it, and it waits for a second operator', olga, async () => {
  await olga.goto(`${facts.console}/items/${facts.policy}`);
  await olga.getByRole('button', { name: 'Yes, sign it' }).click();
  await olga.waitForURL(/done=approve/);
  expect(/waits for others/.test(await text(olga)) && /pending/.test(await text(olga)), 'a change that waits', await text(olga));
  const said = countersign('sam', 'approve', facts.policy, '--yes');
  expect(/is in force: approved by olga and sam/.test(said), 'a policy in force', said);
  await olga.goto(`${facts.console}/items/${facts.policy}`);
  expect(/approved/.test(await text(olga)) && !/Take your yes back/.test(await text(olga)), 'nothing left to do', await text(olga));
});

await step('a page of another origin can do none of this', olga, async () => {
  const r = await olga.context().request.post(facts.console + '/locks', { form: { kind: 'tool', value: 'support', reason: 'forged' }, headers: { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://evil.example' } });
  expect(r.status() === 403, '403', r.status());
});

await step('carol takes her key away', carol, async () => {
  await carol.goto(facts.console + '/keys');
  const card = carol.locator('.card', { hasText: 'Lost, or not yours?' });
  await card.locator('summary').click();
  await card.locator('input[name=reason]').fill('lost on the train');
  await card.getByRole('button').click();
  await carol.waitForLoadState();
  expect(!/blue key ring counts/.test(await text(carol)), 'the key gone', await text(carol));
  await carol.goto(`${facts.console}/items/${facts.third}`);
  expect(/no key that counts/.test(await text(carol)), 'no form to sign', await text(carol));
});

await step('no page broke its own policy', carol, async () => {
  expect(violations.length === 0, 'no violation', violations.join(' | '));
});

await browser.close();
process.exit(failed ? 1 : 0);

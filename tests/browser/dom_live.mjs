// What alice does while the recorder is in her pages: they must work as ever.
import { end, expect, facts, open, sleep, step } from './steps.mjs';

const context = await open(facts.home), page = await context.newPage(), { tools } = facts, errors = [], answers = [];
context.setDefaultTimeout(45000);
page.on('pageerror', e => errors.push(e.message));
page.on('console', m => m.type() === 'error' && !m.location().url.endsWith('/favicon.ico') && errors.push(m.text()));
page.on('response', r => r.url().includes('/.countersign/recorder/') && answers.push(`${r.request().method()} ${r.status()}`));
const text = () => page.locator('body').innerText();
const sent = async n => { for (const until = Date.now() + 45000; answers.filter(a => a === 'POST 204').length < n; await sleep(100)) expect(Date.now() < until, `${n} uploads`, answers); };

await step('the Django admin works as ever: pages, a search, a change', async () => {
  await page.goto(tools.support + '/admin/');
  expect(!(await page.content()).includes('data-countersign'), 'no tag left in the page', 'one');
  await page.goto(tools.support + '/admin/support/customer/');
  await sent(1);
  await page.screenshot({ path: `${facts.output}/live-customers.png` });
  await page.getByRole('link', { name: 'Amber Bakery' }).first().click();
  await page.waitForLoadState();
  const box = page.locator('input[type=text]').first(), before = await box.inputValue();
  await box.fill('typed-and-secret');
  await sleep(300);
  await page.screenshot({ path: `${facts.output}/live-typed.png` });
  await box.fill(before);
  await page.evaluate(() => {
    for (const [id, type] of [['open', 'text'], ['word', 'password']]) {
      const e = Object.assign(document.createElement('input'), { id, type });
      document.querySelector('form').before(e);
    }
  });
  await page.type('#word', 'pass-w0rd');
  await page.evaluate(() => { document.querySelector('#word').type = 'text'; });
  await page.type('#word', '-more-pass-w0rd');
  await page.type('#open', 'typed-in-the-open');
  await sleep(2500);
  await page.evaluate(() => { document.querySelector('#word').remove(); document.querySelector('#open').remove(); });
  await page.locator('input[name=_save]').first().click();
  await page.waitForLoadState();
  expect(/changed successfully/.test(await text()), 'the change', await text());
  await sent(3);
  expect(errors.length === 0, 'no error in any page', errors);
  expect(answers.every(a => /GET 200|POST 204/.test(a)), 'script and uploads', answers);
});

await step('a page under a strict policy works, with its own script and ours', async () => {
  errors.length = answers.length = 0;
  await page.goto(tools.strict + '/nonce');
  expect(/own script ran/.test(await text()), 'its own script', await text());
  await sent(1);
  expect(errors.length === 0, 'no violation', errors);
  answers.length = 0;
  await page.goto(tools.strict + '/hashes');
  await sleep(1500);
  expect(answers.length === 0, 'nothing of ours where the policy forbids it', answers);
});

await step('a page that floods the upload is refused, and goes on', async () => {
  const number = /data-countersign="(\d+)"/.exec(await (await page.goto(`${tools.hostile}/?tcp=${facts.tcp}`)).text())[1];
  const got = await page.evaluate(n => window.flood(30, n), number);
  expect(got[204] > 0 && got[429] > 0, 'some taken, some refused', got);
  await page.goto(`${tools.hostile}/?tcp=${facts.tcp}&again`);
  expect(/added by its script/.test(await text()), 'the page', await text());
  await sleep(9000);
  await page.evaluate(() => { document.querySelector('#p').textContent = 'later'; });
  await sleep(3000);
});
await context.close();
end();

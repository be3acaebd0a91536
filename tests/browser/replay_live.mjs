// What alice does at the tools, with a picture of each page as she saw it; replay.mjs compares the replay with them.
import { end, expect, facts, open, sleep, step } from './steps.mjs';

const context = await open(facts.home), page = await context.newPage(), { tools } = facts;
context.setDefaultTimeout(45000);
const picture = name => page.screenshot({ path: `${facts.output}/live-${name}.png` });
const text = () => page.locator('body').innerText();
async function until(what, test) {
  for (const end = Date.now() + 45000; ; await sleep(100)) {
    const got = await test().catch(e => e.message);
    if (got === true) return;
    expect(Date.now() < end, what, got);
  }
}

await step('alice at the Django admin: pages, a change, a refused search', async () => {
  await page.goto(tools.support + '/admin/');
  await picture('admin');
  await page.goto(tools.support + '/admin/support/customer/');
  await picture('customers');
  await page.getByRole('link', { name: 'Amber Bakery' }).first().click();
  await page.waitForLoadState();
  await picture('customer');
  await page.locator('input[name=_save]').first().click();
  await page.waitForLoadState();
  expect(/changed successfully/.test(await text()), 'the change', await text());
  await picture('changed');
  await page.goto(tools.support + '/admin/support/audience/');
  await page.locator('input[name=_selected_action]').first().check();
  await page.selectOption('select[name=action]', 'export_csv');
  await page.getByRole('button', { name: 'Go' }).click();
  await page.waitForLoadState();
  expect(/held/i.test(await text()), 'the held page', await text());
  await picture('held');
});

await step('alice in a single-page application', async () => {
  await page.goto(tools.spa + '/');
  await until('what it draws', async () => /Cedar/.test(await text()) && /status 4, events one two three/.test(await text()) || await text());
  await picture('spa');
  await page.click('text=/archive');
  await page.click('#add');
  await until('the new row', async () => /Amber/.test(await text()) || await text());
});

await step('alice in a chat over a WebSocket', async () => {
  await page.goto(tools.chat + '/');
  await until('an upgrade', async () => await page.title() === 'websocket' || await page.title());
  await page.fill('#text', 'hello from here');
  await page.click('button');
  await until('the words back', async () => /hello from here/.test(await text()) || await text());
  await page.fill('#text', '');
  await page.evaluate(() => document.activeElement.blur());
  await picture('chat');
});

await step('alice on a hostile page, which does nothing yet', async () => {
  await page.goto(`${tools.hostile}/?tcp=${facts.tcp}&udp=${facts.udp}`);
  await sleep(500);
  await page.goto(`${tools.hostile}/?tcp=${facts.tcp}&udp=${facts.udp}&leave`);
  await sleep(500);
  await page.goto(`${tools.hostile}/?tcp=${facts.tcp}&udp=${facts.udp}&rtc`);
  await sleep(500);
});
await context.close();
end();

// What the pages do beyond showing: keys and their off switch, pausing the updates, the theme, and everything without JavaScript.
// Needs at least one open conflict, and changes that keep coming (the demo's traffic).
// node pages.mjs BASE_URL PASSWORD SCREENSHOT_FOLDER
import fs from 'node:fs';
import path from 'node:path';
import { check, finish, listen, open, signIn, usage } from './browser.mjs';

const { base, password, shots } = usage('pages.mjs');
fs.mkdirSync(shots, { recursive: true });
const browser = await open();
const patience = 15000;
const until = (page, what, arg) => page.waitForFunction(what, arg, { timeout: patience }).then(() => true, () => false);

{
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: 'dark', reducedMotion: 'reduce' });
  const page = await context.newPage();
  const complaints = listen(page);
  await signIn(page, base, password);

  // updates
  await page.goto(`${base}/`);
  const before = await page.locator('#stats').innerHTML();
  const moves = (html) => until(page, (old) => document.querySelector('#stats').innerHTML !== old, html);
  check('the page changes by itself', await moves(before));
  await page.click('[data-act=pause]');
  check('the button says that updates are paused', (await page.locator('[data-act=pause]').getAttribute('aria-pressed')) === 'true' && (await page.locator('.live-word').innerText()) === 'Paused');
  const still = await page.locator('.app').innerHTML();
  await page.waitForTimeout(3000);
  check('nothing changes while paused', (await page.locator('.app').innerHTML()) === still);
  await page.goto(`${base}/failures`);
  check('the pause holds on the next page', (await page.locator('.live-word').innerText()) === 'Paused');
  await page.goto(`${base}/`);
  const old = await page.locator('#stats').innerHTML();
  await page.click('[data-act=pause]');
  check('updates come back', await moves(old));
  await page.focus('#pause, #resume');
  const again = await page.locator('#stats').innerHTML();
  await moves(again);
  check('an update does not take the focus away', await page.evaluate(() => ['pause', 'resume'].includes(document.activeElement.id)));

  // theme
  await page.click('[data-act=theme]');
  check('the theme switches', (await page.locator('html').getAttribute('data-theme')) === 'light');
  await page.reload();
  check('and stays', (await page.locator('html').getAttribute('data-theme')) === 'light');

  // keys
  await page.goto(`${base}/conflicts`);
  const open_ = await page.locator('fieldset.field').count();
  await page.keyboard.press('1');
  check('1 takes all from Salesforce', (await page.locator('.val input[value=crm]:checked').count()) === open_);
  check('the footer counts the writes', (await page.locator('#sum').innerText()).includes('to ERP'));
  await page.keyboard.press('2');
  check('2 takes all from the ERP', (await page.locator('.val input[value=erp]:checked').count()) === open_);
  await page.keyboard.press('e');
  check('e goes to the first value', await page.evaluate(() => document.activeElement.matches('.other input[type=text], .other select')));
  if (await page.evaluate(() => document.activeElement.matches('input[type=text]'))) {
    await page.keyboard.type('r1j');
    check('typing runs no shortcut and chooses the value', await page.evaluate(() => document.activeElement.value === 'r1j' && document.activeElement.closest('.field').querySelector('input[value=value]').checked));
    await page.waitForTimeout(2500);
    check('updates leave what is being typed alone', await page.evaluate(() => document.activeElement.value === 'r1j'));
  }
  await page.keyboard.press('Escape');
  check('Escape leaves the field', await page.evaluate(() => !document.activeElement.matches('input[type=text], select')));
  const records = await page.locator('.queue .cf').count();
  if (records > 1) {
    await page.keyboard.press('j');
    check('j goes to the next record', await page.evaluate(() => document.activeElement === document.querySelectorAll('.queue .cf')[1]));
    await page.keyboard.press('k');
    check('k goes back', await page.evaluate(() => document.activeElement === document.querySelectorAll('.queue .cf')[0]));
  }
  await page.keyboard.press('?');
  check('? opens the list of shortcuts', await page.locator('#keys').evaluate((dialog) => dialog.open));
  await page.locator('[data-act=single]').uncheck();
  await page.keyboard.press('Escape');
  await page.keyboard.press('1');
  check('single keys can be switched off', (await page.locator('.val input[value=crm]:checked').count()) === 0);
  await page.evaluate(() => localStorage.removeItem('keys'));
  const small = await page.evaluate(() => [...document.querySelectorAll('a,button,label.val')].filter((e) => e.offsetParent && !e.matches('.skip')).map((e) => [e.textContent.trim().slice(0, 20), e.getBoundingClientRect()]).filter(([, r]) => r.width < 24 || r.height < 24).map(([text]) => text));
  check('every target is at least 24 pixels', small.length === 0, small.join(', '));
  check('the browser complains about nothing', complaints.length === 0, complaints.join('; '));
  await page.click('text=Sign out');
  check('signing out leads to the sign-in', new URL(page.url()).pathname === '/login');
  await context.close();
}

{
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, javaScriptEnabled: false });
  const page = await context.newPage();
  await signIn(page, base, password);
  check('without JavaScript: the sign-in works', (await page.locator('h1').innerText()).length > 0);
  check('without JavaScript: no control that would do nothing', !(await page.locator('[data-act=theme]').isVisible()));
  await page.goto(`${base}/conflicts`);
  const field = page.locator('fieldset[data-conflict]').first();
  const id = await field.getAttribute('data-conflict');
  await page.click('button[type=submit]:has-text("Resolve")');
  check('without JavaScript: nothing chosen is told', (await page.locator('#problem').innerText()).includes('Nothing was chosen'));
  await page.locator(`fieldset[data-conflict="${id}"] input[value=erp]`).check();
  check('without JavaScript: what will be written is shown', await page.locator(`fieldset[data-conflict="${id}"] .w-erp`).isVisible());
  await page.click('button[type=submit]:has-text("Resolve")');
  const state = await page.locator(`[data-conflict="${id}"]`).getAttribute('data-state');
  check('without JavaScript: the decision is taken and shown', state !== 'open', state);
  await page.screenshot({ path: path.join(shots, 'no-javascript.png') });
  await context.close();
}

await browser.close();
finish();

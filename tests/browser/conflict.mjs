// A person signs in, opens the newest conflict, resolves one field and sees it arrive on both sides.
// node conflict.mjs BASE_URL PASSWORD SCREENSHOT_FOLDER
// CONFLICT names a conflict id (its record is the part before the last colon); CHOICE is crm (the default), erp or a value to enter.
import fs from 'node:fs';
import path from 'node:path';
import { check, finish, listen, open, signIn, usage } from './browser.mjs';

const { base, password, shots } = usage('conflict.mjs');
fs.mkdirSync(shots, { recursive: true });
const wanted = process.env.CONFLICT;
const choice = process.env.CHOICE ?? 'crm';
const patience = Number(process.env.PATIENCE_MS ?? 30000);

const browser = await open();
const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: 'dark', reducedMotion: 'reduce' });
const page = await context.newPage();
const complaints = listen(page);
const shot = (name) => page.screenshot({ path: path.join(shots, `conflict-${name}.png`) });
try {
  await page.goto(`${base}/conflicts`);
  check('without a sign-in the page leads to it', new URL(page.url()).pathname === '/login');
  await page.fill('#password', `${password} `.trim() + 'x');
  await page.click('button[type=submit]');
  check('a wrong password is refused', await page.locator('[role=alert]').isVisible());
  await signIn(page, base, password);

  const live = page.waitForRequest((request) => request.url().includes('/events'));
  await page.goto(base + (wanted ? `/conflicts/${encodeURIComponent(wanted.replace(/:[^:]*$/, ''))}` : '/conflicts'));
  await live;
  const field = wanted ? page.locator(`[data-conflict="${wanted}"]`) : page.locator('fieldset[data-conflict][data-state=open]').first();
  await field.waitFor({ timeout: patience });
  const id = await field.getAttribute('data-conflict');
  check(`conflict ${id} is open`, (await field.getAttribute('data-state')) === 'open');
  check('both values and the base are shown', (await field.locator('.val .v').count()) === 2 && (await field.locator('.base').innerText()).startsWith('was'));
  const other = page.locator('fieldset[data-conflict][data-state=open]');
  const before = await other.count();
  if (choice === 'crm' || choice === 'erp') await field.locator(`input[value=${choice}]`).check();
  else await field.locator('.other input[type=text]').fill(choice);
  check('what will be written is shown', await field.locator(`.w-${choice === 'crm' || choice === 'erp' ? choice : 'value'}`).isVisible());
  await shot('chosen');
  // The page is kept: a decision swaps its regions and loads nothing.
  await page.evaluate(() => { window.kept = true; });
  await page.keyboard.press('Escape');
  await page.locator('#c-h').click();
  await page.keyboard.press('r');
  const state = page.locator(`[data-conflict="${id}"]`);
  await page.waitForFunction(([id]) => document.querySelector(`[data-conflict="${id}"]`)?.dataset.state !== 'open', [id], { timeout: patience });
  check('the decision is shown at once', (await state.getAttribute('data-state')) !== 'open');
  await shot('decided');
  await page.waitForFunction(([id]) => document.querySelector(`[data-conflict="${id}"]`)?.dataset.state === 'confirmed', [id], { timeout: patience }).catch(() => {});
  const end = await state.getAttribute('data-state');
  check('it is confirmed on both sides', end === 'confirmed', `it is ${end}`);
  for (const side of ['crm', 'erp']) {
    const on = await state.locator(`[data-side=${side}]`).getAttribute('data-on').catch(() => 'missing');
    check(`${side} has the value`, on === 'confirmed' || on === 'held', on);
  }
  check('other fields of the record stay open', (await other.count()) === before - 1);
  check('the page was never loaded anew', await page.evaluate(() => window.kept === true));
  await shot('confirmed');
  check('the browser complains about nothing', complaints.filter((text) => !text.includes('401')).length === 0, complaints.join('; '));
} catch (error) {
  check('the story ran to its end', false, String(error));
  await shot('failed').catch(() => {});
}
await browser.close();
finish();

// A person has what was refused tried again, one record and then all.
// node retry.mjs BASE_URL PASSWORD SCREENSHOT_FOLDER
// ROWS is the number of failed writes; GONE says that their cause is gone.
import fs from 'node:fs';
import path from 'node:path';
import { check, finish, listen, open, signIn, usage } from './browser.mjs';

const { base, password, shots } = usage('retry.mjs');
fs.mkdirSync(shots, { recursive: true });
const rows = Number(process.env.ROWS);
const patience = Number(process.env.PATIENCE_MS ?? 30000);

const browser = await open();
const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: 'dark', reducedMotion: 'reduce' });
const page = await context.newPage();
const complaints = listen(page);
const shot = (name) => page.screenshot({ path: path.join(shots, `retry-${name}.png`) });
const failures = (number) => page.waitForFunction((wanted) => document.querySelectorAll('#writes tbody tr').length === wanted, number, { timeout: patience });
try {
  await signIn(page, base, password);
  const live = page.waitForRequest((request) => request.url().includes('/events'));
  await page.goto(`${base}/failures`);
  await live;
  await failures(rows);
  const buttons = page.locator('#writes button[name=again]');
  check('each has its button', (await buttons.count()) === rows);
  await shot(process.env.GONE ? 'before' : 'refused');
  const [first, write] = [await buttons.first().getAttribute('value'), await buttons.first().getAttribute('data-key')];
  await buttons.first().click();
  if (process.env.GONE) {
    await failures(rows - 1);
    check('it is no failure any more', (await page.locator(`#writes button[value="${first}"]`).count()) === 0);
    await page.click('#all-again');
    await page.locator('#writes .empty').waitFor({ timeout: patience });
    check('nothing is left to try again', (await page.locator('button[name=again]').count()) === 0);
    await shot('done');
  } else {
    // Refused again, it is the newest failure, a write of its own, and may be tried once more. The answer may be there
    // before the page has shown that it is waited for.
    const again = page.locator('#writes tbody tr').first().locator(`button[value="${first}"]:not([data-key="${write}"])`);
    await again.waitFor({ timeout: patience });
    await page.waitForFunction((wanted) => document.querySelectorAll('#writes button[name=again]').length === wanted, rows, { timeout: patience });
    check('nothing more is said of the first try', (await page.locator('#writes .deciding').count()) === 0);
  }
  check('the browser complains about nothing', complaints.length === 0, complaints.join('; '));
} catch (error) {
  check('the story ran to its end', false, String(error));
  await shot('failed').catch(() => {});
}
await browser.close();
finish();

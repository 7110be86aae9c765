// A person opens a settled conflict and restores the value that lost.
// node restore.mjs BASE_URL PASSWORD SCREENSHOT_FOLDER
// CONFLICT names the conflict; SIDE is the side whose value lost.
import fs from 'node:fs';
import path from 'node:path';
import { check, finish, listen, open, signIn, usage } from './browser.mjs';

const { base, password, shots } = usage('restore.mjs');
fs.mkdirSync(shots, { recursive: true });
const { CONFLICT: id, SIDE: side } = process.env;
const patience = Number(process.env.PATIENCE_MS ?? 30000);

const browser = await open();
const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: 'light', reducedMotion: 'reduce' });
const page = await context.newPage();
const complaints = listen(page);
const shot = (name) => page.screenshot({ path: path.join(shots, `restore-${name}.png`) });
try {
  await signIn(page, base, password);
  const live = page.waitForRequest((request) => request.url().includes('/events'));
  await page.goto(`${base}/conflicts/${encodeURIComponent(id.replace(/:[^:]*$/, ''))}`);
  await live;
  const settled = page.locator(`section[data-conflict="${id}"]`);
  await settled.waitFor({ timeout: patience });
  const button = settled.locator(`button[value="${side}:${id}"]`);
  check('the value that lost can be restored', (await button.count()) === 1);
  check('the one that won cannot', (await settled.locator(`button[value="${side === 'crm' ? 'erp' : 'crm'}:${id}"]`).count()) === 0);
  await page.evaluate(() => { window.kept = true; });
  await button.click();
  await settled.locator('.since').waitFor({ timeout: patience });
  check('the decision is told at once', (await settled.locator('.since').innerText()).length > 0);
  await page.waitForFunction((id) => document.querySelector(`section[data-conflict="${id}"] .since`)?.dataset.since === 'ok', id, { timeout: patience }).catch(() => {});
  const words = await settled.locator('.since').innerText();
  check('and what became of it', words.includes('admin decided on restoring') && words.endsWith('done'), words);
  check('the page was never loaded anew', await page.evaluate(() => window.kept === true));
  await shot('done');
  check('the browser complains about nothing', complaints.length === 0, complaints.join('; '));
} catch (error) {
  check('the story ran to its end', false, String(error));
  await shot('failed').catch(() => {});
}
await browser.close();
finish();

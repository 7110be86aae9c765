// A person finds a write in the history and takes it back.
// node undo.mjs BASE_URL PASSWORD SCREENSHOT_FOLDER
// TEXT is a value that the write set.
import fs from 'node:fs';
import path from 'node:path';
import { check, finish, listen, open, signIn, usage } from './browser.mjs';

const { base, password, shots } = usage('undo.mjs');
fs.mkdirSync(shots, { recursive: true });
const text = process.env.TEXT;
const patience = Number(process.env.PATIENCE_MS ?? 30000);

const browser = await open();
const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: 'dark', reducedMotion: 'reduce' });
const page = await context.newPage();
const complaints = listen(page);
const shot = (name) => page.screenshot({ path: path.join(shots, `undo-${name}.png`) });
try {
  await signIn(page, base, password);
  const row = page.locator('#changes li', { has: page.locator('a.undo') }).filter({ hasText: text }).first();
  await row.waitFor({ timeout: patience });
  const address = await row.locator('a.undo').getAttribute('href');
  await page.goto(base + address);
  check('what would be written is shown', (await page.locator('#write td del').first().innerText()).includes(text));
  await shot('preview');
  const live = page.waitForRequest((request) => request.url().includes('/events'));
  await page.goto(base + address);
  await live;
  await page.click('#do-undo');
  await page.locator('#deciding').waitFor({ timeout: patience });
  check('it is not offered twice', (await page.locator('#do-undo').count()) === 0);
  await page.waitForFunction(() => document.querySelector('#deciding')?.dataset.result === 'ok', null, { timeout: patience }).catch(() => {});
  const words = await page.locator('#deciding').innerText();
  check('it is taken back and confirmed', words.includes('Taken back and confirmed'), words);
  await shot('done');
  await page.goto(`${base}/`);
  check('the history says who took it back', (await page.locator('#changes .tag', { hasText: 'undone by admin' }).count()) > 0);
  check('the browser complains about nothing', complaints.length === 0, complaints.join('; '));
} catch (error) {
  check('the story ran to its end', false, String(error));
  await shot('failed').catch(() => {});
}
await browser.close();
finish();

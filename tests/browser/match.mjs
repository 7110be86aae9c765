// A person looks at a possible match, answers it with a key, takes the answer back, and answers it for good.
// node match.mjs BASE_URL PASSWORD SCREENSHOT_FOLDER
// REVIEW names the pair; ANSWER is same (the default) or distinct.
import fs from 'node:fs';
import path from 'node:path';
import { check, finish, listen, open, signIn, usage } from './browser.mjs';

const { base, password, shots } = usage('match.mjs');
fs.mkdirSync(shots, { recursive: true });
const review = process.env.REVIEW;
const answer = process.env.ANSWER ?? 'same';
const patience = Number(process.env.PATIENCE_MS ?? 30000);

const browser = await open();
const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: 'dark', reducedMotion: 'reduce' });
const page = await context.newPage();
const complaints = listen(page);
const shot = (name) => page.screenshot({ path: path.join(shots, `match-${name}.png`) });
const state = (wanted) => page.waitForFunction(([id, wanted]) => { const body = document.querySelector('.match .body'); return body?.dataset.review === id && body.dataset.state === wanted; }, [review, wanted], { timeout: patience });
try {
  await signIn(page, base, password);
  const live = page.waitForRequest((request) => request.url().includes('/events'));
  await page.goto(`${base}/matches/${encodeURIComponent(review)}`);
  await live;
  await state('open');
  check('both records stand side by side', (await page.locator('.who-is').count()) === 2 && (await page.locator('.field.pairs').count()) > 0);
  check('what differs is marked', (await page.locator('.field.pairs.differs ins').count()) > 0);
  const bars = await page.locator('.reasons li svg.weight').count();
  const words = await page.locator('.reasons li .name').allInnerTexts();
  check('each reason has words, and a bar where it was weighed', words.length > 0 && words.every((text) => text.length > 0) && (bars === 0 || bars === words.length), `${bars} bars, ${words}`);
  check('nothing is answered yet', (await page.locator('#last').count()) === 0);
  await shot('open');
  await page.evaluate(() => { window.kept = true; });
  await page.locator('#c-h').click();
  await page.keyboard.press(answer === 'same' ? 's' : 'd');
  await page.locator('#last').waitFor({ timeout: patience });
  check('the answer is told, with an undo', (await page.locator('#last').innerText()).includes(answer === 'same' ? 'the same' : 'not the same') && (await page.locator('#last button').count()) === 1);
  check('the page was never loaded anew', await page.evaluate(() => window.kept === true));
  await shot('answered');
  await page.waitForFunction(() => document.querySelector('#last')?.innerText.includes('done'), null, { timeout: patience }).catch(() => {});
  check('it is carried out', (await page.locator('#last').innerText()).includes('done'), await page.locator('#last').innerText());
  await page.keyboard.press('u');
  await state('open').catch(() => {});
  check('taking it back opens the question again', (await page.locator('.match .body').getAttribute('data-state')) === 'open');
  check('and offers no second undo', (await page.locator('#last').count()) === 0);
  await shot('taken-back');
  await page.goto(`${base}/matches/${encodeURIComponent(review)}`);
  await state('open');
  await page.click(`button[value=${answer}]`);
  await page.locator('#last').waitFor({ timeout: patience });
  await page.goto(`${base}/matches/${encodeURIComponent(review)}`);
  await state('answered');
  await page.waitForFunction(() => !document.querySelector('.match footer p')?.innerText.includes('being carried out'), null, { timeout: patience }).catch(() => {});
  check('who answered is shown', (await page.locator('.match footer p').innerText()).startsWith('admin said that they are'), await page.locator('.match footer p').innerText());
  await shot('done');
  check('the browser complains about nothing', complaints.length === 0, complaints.join('; '));
} catch (error) {
  check('the story ran to its end', false, String(error));
  await shot('failed').catch(() => {});
}
await browser.close();
finish();

// axe on each page, dark and light on a desktop, dark on a phone, with a screenshot of each and a look at its width.
// Needs at least one open conflict.
// node axe.mjs BASE_URL PASSWORD SCREENSHOT_FOLDER
import fs from 'node:fs';
import path from 'node:path';
import { AxeBuilder } from '@axe-core/playwright';
import { check, finish, listen, open, signIn, usage } from './browser.mjs';

const { base, password, shots } = usage('axe.mjs');
fs.mkdirSync(shots, { recursive: true });
const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const variants = [['desktop', 'dark', { width: 1440, height: 900 }], ['desktop', 'light', { width: 1440, height: 900 }], ['phone', 'dark', { width: 390, height: 844 }]];

const browser = await open();
for (const [device, theme, viewport] of variants) {
  const context = await browser.newContext({ viewport, colorScheme: theme, reducedMotion: 'reduce' });
  const page = await context.newPage();
  const complaints = listen(page);
  const look = async (name, address) => {
    await page.goto(base + address, { waitUntil: 'load' });
    await page.evaluate(() => document.fonts.ready);
    const found = await new AxeBuilder({ page }).withTags(tags).analyze();
    const what = found.violations.map((v) => `${v.id} ${v.nodes.slice(0, 3).map((n) => n.target.join(' ')).join(' | ')}`).join('; ');
    check(`${name}, ${device}, ${theme}: axe finds nothing (${found.passes.length} rules pass)`, found.violations.length === 0, what);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    check(`${name}, ${device}, ${theme}: fits the width`, wide <= 0, `${wide} px too wide`);
    await page.screenshot({ path: path.join(shots, `${name}-${device}-${theme}.png`), fullPage: device === 'phone' });
  };
  await look('sign-in', '/login');
  await signIn(page, base, password);
  await look('sync', '/');
  await look('conflicts', '/conflicts');
  const records = page.locator('.queue .cf');
  if (check(`${device}, ${theme}: a conflict is open`, (await records.count()) > 0)) await look('conflict', await records.first().getAttribute('href'));
  await look('settled', '/conflicts?state=settled');
  if ((await records.count()) > 0) await look('settled-record', await records.first().getAttribute('href'));
  await look('failures', '/failures');
  await look('matches', '/matches');
  const pairs = page.locator('.queue .cf');
  if ((await pairs.count()) > 0) await look('match', await pairs.first().getAttribute('href'));
  await look('matches-answered', '/matches?state=answered');
  await page.goto(`${base}/`);
  const undo = page.locator('#changes a.undo');
  if (check(`${device}, ${theme}: a write can be taken back`, (await undo.count()) > 0)) await look('undo', await undo.first().getAttribute('href'));
  check(`${device}, ${theme}: the browser complains about nothing`, complaints.length === 0, complaints.join('; '));
  await context.close();
}
await browser.close();
finish();

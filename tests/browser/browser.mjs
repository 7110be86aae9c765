// What the scripts here share: a headless Chromium, checks with a line each, the sign-in.
import fs from 'node:fs';
import path from 'node:path';
import { chromium } from 'playwright-core';

const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

// CHROMIUM names another browser than the system's. Each launch has a profile of its own, which goes with it.
function browser() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const places = (process.env.PATH ?? '').split(path.delimiter);
  const found = ['chromium', 'chromium-browser', 'google-chrome'].flatMap((name) => places.map((place) => path.join(place, name))).find((file) => fs.existsSync(file));
  if (!found) {
    console.error('There is no chromium, chromium-browser or google-chrome in PATH. Install one with: sudo apt-get install -y chromium; or name one in CHROMIUM.');
    process.exit(1);
  }
  return found;
}
export const open = () => chromium.launch({ executablePath: browser(), headless: true, args: flags });

export function usage(name) {
  const [base, password, shots] = process.argv.slice(2);
  if (!base || !password || !shots) {
    console.error(`usage: node ${name} BASE_URL PASSWORD SCREENSHOT_FOLDER`);
    process.exit(2);
  }
  return { base: base.replace(/\/$/, ''), password, shots };
}

let failed = 0;
export function check(name, passed, detail = '') {
  if (!passed) failed += 1;
  console.log(`${passed ? 'ok  ' : 'FAIL'} ${name}${!passed && detail ? `: ${detail}` : ''}`);
  return passed;
}
export function finish() {
  console.log(failed ? `${failed} failed` : 'all passed');
  process.exit(failed ? 1 : 0);
}

// Whatever the browser complains about counts as a failure: scripts, the content policy, missing files.
export function listen(page) {
  const complaints = [];
  page.on('console', (message) => { if (message.type() === 'error') complaints.push(message.text()); });
  page.on('pageerror', (error) => complaints.push(String(error)));
  return complaints;
}

export async function signIn(page, base, password) {
  await page.goto(`${base}/login`);
  if (new URL(page.url()).pathname !== '/login') return;
  await page.fill('#password', password);
  await Promise.all([page.waitForURL((url) => url.pathname !== '/login'), page.click('button[type=submit]')]);
}

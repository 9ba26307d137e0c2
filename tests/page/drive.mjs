// Drives a browser: chromium without a window, by playwright-core. Where they are is in the environment, set by tests/page.rs and `make screenshots`.

import { createRequire } from 'node:module';

const { STILLTHERE_PLAYWRIGHT: playwright, STILLTHERE_CHROMIUM: executablePath } = process.env;

/** A browser. chromium refuses to run as root with its sandbox. */
export async function browser() {
  const { chromium } = createRequire(import.meta.url)(playwright);
  return chromium.launch({ executablePath, args: process.getuid() === 0 ? ['--no-sandbox'] : [] });
}

/** A page of its own, with everything that went wrong in it: errors, and what the Content-Security-Policy refused. */
export async function open(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const troubles = [];
  page.on('pageerror', (error) => troubles.push(String(error.stack ?? error)));
  page.on('console', (message) => message.type() === 'error' && !/Failed to load resource|ERR_/.test(message.text()) && troubles.push(message.text()));
  if (url) await page.goto(url, { waitUntil: 'load' });
  return { page, context, troubles };
}

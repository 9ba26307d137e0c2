// What the scenes share: a browser, a page, a server that is none, and questions about what is seen.

import { createInterface } from 'node:readline';
import { Mock, built } from './mock.mjs';
import { browser, open } from './drive.mjs';

const { STILLTHERE_PAGE: directory } = process.env;
/** Where our own server has its page. */
export const at = process.env.STILLTHERE_AT;
export const pause = (ms) => new Promise((done) => setTimeout(done, ms));
export const quick = { deadline: 6000, idle: 1000, interval: 1000, lively: false }; // a deadline that a test can wait for

/** The browser of this scene. */
export const chromium = await browser();
const lines = createInterface({ input: process.stdin });
lines.on('close', () => chromium.close()); // whoever has started us has given up

/** Has the test do something that a page cannot: cut a cable. */
export const please = (wish) => new Promise((done) => {
  lines.once('line', done);
  console.log(`please: ${wish}`);
});

/** Waits until a condition holds, or fails with what the page shows. Conditions are asked in the page. */
export async function until(page, what, condition, argument, ms = 15000) {
  const end = Date.now() + ms;
  for (;;) {
    if (await page.evaluate(condition, argument)) return;
    if (Date.now() > end) {
      const seen = await page.evaluate(() => document.body.innerText.slice(0, 1500));
      throw new Error(`never seen within ${ms} ms: ${what}\n${seen}`);
    }
    await pause(50);
  }
}

/** A server that is none, and a page that shows it. */
export async function stage(options = {}, browserOptions = {}) {
  const mock = new Mock({ built: directory ? built(directory) : null, ...options });
  const url = await mock.start();
  const opened = await open(chromium, url, browserOptions);
  return { mock, url, ...opened };
}

export const text = (page, selector) => page.locator(selector).innerText();
export const counts = (page) => page.evaluate(() => [...document.querySelectorAll('#legend b')].map((one) => Number(one.textContent.replace(/\D/g, ''))));
export const there = (count) => [`${count} peers are there`, (count) => globalThis.stillthere?.crowd.isComplete && globalThis.stillthere.grid.place && globalThis.stillthere.crowd.peers.size === count, count];

/** How many pixels of the canvas lie in cells of a colour: to see what is seen, and not only what is meant. */
export const colours = (page) => page.evaluate(() => {
  const canvas = document.getElementById('cells');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const sums = { calm: 0, amber: 0, red: 0 };
  for (let at = 0; at < data.length; at += 4) {
    const [r, g, b] = data.subarray(at, at + 3);
    if (g > r + 30 && b > r + 20) sums.calm++;
    else if (r > 190 && g > 100 && b < 110 && g < r) sums.amber++;
    else if (r > 120 && g < 100 && b < 90) sums.red++;
  }
  return sums;
});

/** Where the cell of a peer is on the screen. */
export const cellOf = (page, id) => page.evaluate((id) => {
  const { grid, crowd } = globalThis.stillthere;
  const box = grid.rectangle(crowd.find(id));
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
}, id);

export async function overflow(page) {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

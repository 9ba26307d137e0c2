// The pictures of the README: the page with a thousand peers, some of them cut off, light, dark and at a phone's width.
//
// node tests/page/screenshots.mjs DIRECTORY

import { writeFileSync } from 'node:fs';
import { Mock, built } from './mock.mjs';
import { lighter } from './picture.mjs';
import { browser, open } from './drive.mjs';

const directory = process.argv[2];
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// An afternoon in a minute: the server's clock runs ahead while nobody looks, so that there is something to see.
let ahead = 0;
const now = () => Date.now() + ahead;
const mock = new Mock({ peers: 1000, churn: 9, now, built: process.env.STILLTHERE_PAGE ? built(process.env.STILLTHERE_PAGE) : null });
const url = await mock.start();
const chromium = await browser();
const views = [];
for (const [name, options] of [
  ['page', { colorScheme: 'light', viewport: { width: 1180, height: 900 } }],
  ['page-dark', { colorScheme: 'dark', viewport: { width: 1180, height: 900 } }],
  ['page-phone', { colorScheme: 'light', viewport: { width: 360, height: 780 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true }],
]) views.push({ name, ...(await open(chromium, url, options)) });

const some = (share) => () => Math.random() < share;
const wave = async (seconds, share) => {
  mock.cut(some(share));
  for (let second = 0; second < seconds; second++) {
    for (let tenth = 0; tenth < 10; tenth++) (ahead += 100), mock.live();
    mock.look(false, (event, data) => mock.tell(event, data));
    mock.tell('figures', mock.figures());
    await pause(25);
  }
};
for (let one = 0; one < 24; one++) await wave(9, 0.002 + 0.003 * Math.random());
// A cable with a whole network behind it.
mock.cut((peer) => peer.address.startsWith('10.23.1'));
await wave(14, 0.002);
mock.cut((peer) => peer.address.startsWith('10.25.2'));
await wave(13, 0.002);
await pause(1500);
for (const { name, page, troubles } of views) {
  const picture = await page.screenshot({ fullPage: name !== 'page-phone' });
  writeFileSync(`${directory}/${name}.png`, lighter(picture));
  if (troubles.length) throw new Error(`${name}: ${troubles.join('\n')}`);
}
await chromium.close();
await mock.stop();

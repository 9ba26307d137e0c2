// The scenes with our own server, in the lab's network.

import assert from 'node:assert/strict';
import { open } from './drive.mjs';
import { at, cellOf, chromium, colours, please, text, there, until } from './stage.mjs';

export async function a_cable_is_cut() {
  const { page, troubles } = await open(chromium, at);
  await until(page, ...there(40));
  await until(page, 'all are calm', () => document.querySelector('#legend b').textContent === '40');
  const [id, address] = await page.evaluate(() => {
    const [peer] = globalThis.stillthere.crowd.peers.values();
    return [peer.id, peer.address];
  });
  const { x, y } = await cellOf(page, id);
  await page.mouse.click(x, y);
  await until(page, 'what the kernel knows', () => /Round-trip time/.test(document.getElementById('story').innerText));
  assert.ok((await text(page, '#story')).includes(address));
  await page.click('#story-drop');
  await page.click('#story-drop');
  await until(page, 'it was let go', () => /was let go/.test(document.getElementById('story-told').textContent));
  await until(page, ...there(39));
  const dead = await page.evaluate(() => (location.hash = `peer=${[...globalThis.stillthere.crowd.peers.keys()][7]}`));
  await until(page, 'another story', (dead) => document.getElementById('story').innerText.includes(dead.slice(5)), dead);
  await please('cut the cable');
  const most = (at) => until(page, ['calm', 'asked', 'in danger', 'found dead'][at], (at) => Number([...document.querySelectorAll('#legend b')][at].textContent) >= 30, at);
  await most(1);
  assert.ok((await colours(page)).amber > 200);
  await most(2);
  assert.ok((await colours(page)).red > 200);
  await most(3);
  await until(page, ...there(0));
  assert.match(await text(page, '#story-told'), /answered no probe and was silent for/);
  await until(page, 'the detections', () => /39 peers found dead/.test(document.getElementById('latency-told').textContent), null, 4000);
  assert.deepEqual(troubles, []);
}

export async function our_server_goes_and_comes_back() {
  const { page, troubles } = await open(chromium, at);
  await until(page, 'nobody', () => /Nobody is there/.test(document.getElementById('headline').textContent));
  assert.match(await text(page, '#empty'), /The server listens on .*:7000/);
  await please('end the server');
  await until(page, 'it says so', () => !document.getElementById('banner').hidden);
  await please('start the server');
  await until(page, 'it is back', () => document.getElementById('banner').hidden && document.getElementById('live').dataset.state === 'live');
  assert.deepEqual(troubles, []);
}

export async function our_server_with_19000_peers() {
  const { page, troubles } = await open(chromium, at);
  await until(page, ...there(19000), 40000);
  await until(page, 'all are calm', () => document.querySelector('#legend b').textContent.replace(/\D/g, '') === '19000', null, 20000);
  assert.deepEqual(troubles, []);
}

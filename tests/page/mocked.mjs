// The scenes with a server that is none: what a page shows, and what becomes of it.

import assert from 'node:assert/strict';
import { open } from './drive.mjs';
import { cellOf, chromium, colours, counts, overflow, pause, quick, stage, text, there, until } from './stage.mjs';

export async function peers_appear_turn_and_vanish() {
  const { mock, page, troubles } = await stage({ peers: 60, ...quick });
  await until(page, ...there(60));
  await until(page, 'all are calm', () => document.querySelector('#legend b').textContent === '60');
  const before = await colours(page);
  assert.ok(before.calm > 1000 && before.amber === 0 && before.red === 0, JSON.stringify(before));
  const one = mock.arrive('198.51.100.7:4000');
  await until(page, ...there(61));
  const cut = mock.cut((peer) => peer.number % 2 === 0 || peer === one);
  assert.ok(cut > 20);
  const shown = (at) => (wanted) => [...document.querySelectorAll('#legend b')].map((b) => Number(b.textContent))[wanted.at] === wanted.cut;
  await until(page, 'they are amber', shown(), { at: 1, cut });
  assert.ok((await colours(page)).amber > 300);
  await until(page, 'they are red', shown(), { at: 2, cut });
  const red = await colours(page);
  assert.ok(red.red > 300 && red.red > 20 * red.amber, JSON.stringify(red));
  assert.match(await text(page, '#headline'), new RegExp(`${cut} are near the deadline`));
  await until(page, 'they are gone', shown(), { at: 3, cut });
  await until(page, ...there(61 - cut));
  // The list is written anew a moment after the cells.
  await until(page, 'it is told in words', () => /198\.51\.100\.7:4000 answered no probe and was silent for 6(\.\d)?\s+s/.test(document.getElementById('departures').innerText));
  await until(page, 'the reason is counted', (cut) => document.getElementById('reasons').textContent.includes(`probes unanswered${cut}`), cut);
  await until(page, 'their cells come free', () => globalThis.stillthere.crowd.cells.every((cell) => !cell || !cell.departure), null, 16000);
  assert.ok((await colours(page)).red < 50);
  assert.deepEqual(troubles, []);
}

export async function a_cell_tells_its_story() {
  const { mock, page, troubles } = await stage({ peers: 30, ...quick });
  await until(page, ...there(30));
  const peer = [...mock.peers.values()][17];
  const { x, y } = await cellOf(page, peer.id);
  await page.mouse.move(x, y);
  await until(page, 'the hint', () => !document.getElementById('tip').hidden);
  assert.ok((await text(page, '#tip')).includes(peer.address));
  await until(page, 'what the kernel says', () => /round trip/.test(document.getElementById('tip-more').textContent));
  await page.mouse.click(x, y);
  await until(page, 'the story', () => /Round-trip time/.test(document.getElementById('story').innerText));
  const story = await text(page, '#story');
  for (const part of [peer.address, peer.id, 'Connected for', '192.0.2.9:7007', 'established']) assert.ok(story.includes(part), `${part} is not in ${story}`);
  assert.ok(page.url().endsWith(`#peer=${peer.id}`));
  await page.click('#story-drop');
  assert.ok(mock.peers.has(peer.id), 'one click is no more than a question');
  await page.click('#story-drop');
  await until(page, 'it was let go', () => /let go by the service/.test(document.getElementById('story-told').textContent));
  assert.ok(!mock.peers.has(peer.id) && mock.requests.includes(`DELETE /peers/${peer.id}`));
  await page.keyboard.press('Escape');
  assert.ok(await page.locator('#story').isHidden());
  assert.ok(!page.url().includes('#peer'));
  await page.mouse.move(x, y);
  await page.mouse.move(2, 2);
  assert.ok(await page.locator('#tip').isHidden());
  assert.deepEqual(troubles, []);
}

export async function the_keyboard_reaches_everything() {
  const { mock, page, troubles } = await stage({ peers: 300, ...quick });
  await until(page, ...there(300));
  const peers = [...mock.peers.values()];
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
  await page.focus('#grid');
  const said = () => page.evaluate(() => document.getElementById('said').textContent);
  const reads = async (peer, key) => {
    if (key) await page.keyboard.press(key);
    assert.ok((await said()).startsWith(`${peer.address}: calm, silent for`), `after ${key}: ${await said()}`);
  };
  const { columns } = await page.evaluate(() => ({ columns: globalThis.stillthere.grid.place.columns }));
  await reads(peers[0]);
  await reads(peers[1], 'ArrowRight');
  await reads(peers[1 + columns], 'ArrowDown');
  await reads(peers[columns], 'ArrowLeft');
  await reads(peers[0], 'ArrowUp');
  await reads(peers[0], 'ArrowUp');
  await reads(peers[299], 'End');
  await reads(peers[299], 'ArrowRight');
  await reads(peers[0], 'Home');
  const ring = await page.evaluate(() => getComputedStyle(document.getElementById('grid')).outlineStyle);
  assert.equal(ring, 'solid', 'the focus is seen');
  const box = await page.locator('#cursor').boundingBox(), cell = await cellOf(page, peers[0].id);
  assert.ok(Math.abs(box.x + box.width / 2 - cell.x) < 3 && Math.abs(box.y + box.height / 2 - cell.y) < 3, JSON.stringify({ box, cell }));
  await page.keyboard.press('Enter');
  await until(page, 'the story has the focus', () => document.activeElement.id === 'story-title');
  assert.ok((await text(page, '#story-title')).includes(peers[0].address));
  await page.keyboard.press('Escape');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'grid', 'the focus goes back');
  await page.keyboard.press('/');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'filter');
  await page.keyboard.type(peers[42].address);
  await until(page, 'one is left', () => globalThis.stillthere.crowd.matching === 1);
  await page.keyboard.press('Enter');
  await until(page, 'the grid says who', (address) => document.getElementById('said').textContent.startsWith(address), peers[42].address);
  mock.depart(peers[42], 'reset');
  await until(page, 'it says that it has gone', () => /reset the connection/.test(document.getElementById('said').textContent));
  await until(page, 'departures are announced', () => /departed: reset/.test(document.getElementById('said-news').textContent));
  // Everything that can be done can be reached by Tab, and has a name.
  const nameless = await page.evaluate(() => [...document.querySelectorAll('button, input, a[href], [tabindex="0"]')]
    .filter((one) => !(one.textContent.trim() || one.getAttribute('aria-label') || one.getAttribute('aria-labelledby') || one.labels?.length)).map((one) => one.outerHTML));
  assert.deepEqual(nameless, []);
  assert.deepEqual(troubles, []);
}

export async function a_filter_and_a_link() {
  const { mock, url, page, troubles } = await stage({ peers: 200, ...quick });
  const six = mock.arrive('[2001:db8::7]:4000');
  await until(page, ...there(201));
  const matching = (count) => until(page, `${count} match`, (count) => globalThis.stillthere.crowd.matching === count, count);
  const inside = (start) => [...mock.peers.values()].filter((peer) => peer.address.startsWith(start)).length;
  await page.fill('#filter', '10.21.');
  await matching(inside('10.21.'));
  await until(page, 'how many', (count) => document.getElementById('filter-told').value === `${count} of 201`, inside('10.21.'));
  await page.fill('#filter', '2001:db8::/32');
  await matching(1);
  await page.fill('#filter', '10.20.0.0/15');
  await matching(inside('10.20.') + inside('10.21.'));
  await page.fill('#filter', '10.20.0.0/99');
  assert.match(await text(page, '#filter-told'), /no network/);
  await matching(201);
  await page.fill('#filter', '203.0.113.');
  await until(page, 'nobody', () => document.getElementById('empty').textContent === 'Nobody has an address like this.');
  const linked = await open(chromium, `${url}#peer=${six.id}`);
  await until(linked.page, 'the story behind a link', () => /Connected for/.test(document.getElementById('story').innerText));
  assert.equal(await text(linked.page, '#story-title'), '[2001:db8::7]:4000');
  const stale = await open(chromium, `${url}#peer=1-1`);
  await until(stale.page, 'a link to one that has gone', () => /not there any more/.test(document.getElementById('story-told').textContent));
  assert.deepEqual([...troubles, ...linked.troubles, ...stale.troubles], []);
}

export async function nineteen_thousand_cells_are_smooth() {
  const { mock, page, troubles } = await stage({ peers: 19000, churn: 40, ...quick, lively: true });
  await until(page, '19 000 are there', () => globalThis.stillthere?.crowd.peers.size > 18900);
  await pause(2500);
  const frames = (ms) => page.evaluate(async (ms) => {
    const { grid } = globalThis.stillthere;
    const took = [];
    const draw = grid.draw;
    grid.draw = function () {
      draw.call(this);
      took.push(this.took);
    };
    await new Promise((done) => setTimeout(done, ms));
    delete grid.draw;
    return took.sort((a, b) => a - b);
  }, ms);
  const calm = await frames(2500);
  mock.cut((peer) => Math.random() < 0.3);
  const busy = await frames(6000); // all of these turn amber, red, and vanish in one instant
  const usual = (took) => took[Math.floor(took.length / 4)]; // other programs hold up the rest: this machine may be busy
  console.log(`a frame takes ${usual(calm)} ms, at most ${calm.at(-1)} ms; while 6 000 vanish ${usual(busy)} ms, at most ${busy.at(-1)} ms`);
  assert.ok(calm.length >= 6 && usual(calm) < 8 && usual(busy) < 8, 'a frame takes less than 8 ms');
  assert.ok((await counts(page)).reduce((sum, one) => sum + one) > 18000);
  // Every cell, drawn anew.
  const all = await page.evaluate(() => {
    const { grid } = globalThis.stillthere;
    const took = [];
    for (let time = 0; time < 12; time++) {
      grid.drawn.fill(255);
      grid.draw();
      took.push(grid.took);
    }
    return took.sort((a, b) => a - b);
  });
  console.log(`a frame in which all cells are drawn takes ${usual(all)} ms`);
  assert.ok(usual(all) < 8, 'drawing all cells takes less than 8 ms');
  assert.deepEqual(troubles, []);
}

export async function a_phone_and_the_dark() {
  const phone = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true, colorScheme: 'dark' };
  const { mock, url, page, troubles } = await stage({ peers: 3000, ...quick, churn: 20 }, phone);
  await until(page, 'all are there', () => globalThis.stillthere?.crowd.isComplete);
  mock.cut((peer) => Math.random() < 0.2);
  await pause(5000);
  assert.ok((await overflow(page)) <= 0, 'nothing is wider than the phone');
  const peer = [...mock.peers.values()][500], { x, y } = await cellOf(page, peer.id);
  await page.touchscreen.tap(x, y);
  await until(page, 'the story', () => !document.getElementById('story').hidden);
  assert.ok((await overflow(page)) <= 0, 'nor with a story');
  const [ink, paper] = await page.evaluate(() => ['color', 'backgroundColor'].map((name) => getComputedStyle(document.body)[name].match(/\d+/g).map(Number)));
  assert.ok(paper[0] < 40 && ink[0] > 200, `dark: ${ink} on ${paper}`);
  const corner = () => page.evaluate(() => {
    const at = globalThis.stillthere.grid.place.device - 1; // the gap between cells
    return [...document.getElementById('cells').getContext('2d').getImageData(at, at, 1, 1).data.slice(0, 3)];
  });
  assert.ok((await corner())[0] < 60, 'the canvas is dark, too');
  await page.emulateMedia({ colorScheme: 'light' });
  await pause(500);
  assert.ok((await corner())[0] > 200, 'and follows the system');
  const narrow = await open(chromium, url, { viewport: { width: 320, height: 640 } });
  await pause(1200);
  assert.ok((await overflow(narrow.page)) <= 0, 'nor at 320 pixels, or four times enlarged');
  assert.deepEqual([...troubles, ...narrow.troubles], []);
}

export async function the_server_goes_and_comes_back() {
  const { mock, page, troubles } = await stage({ peers: 50, ...quick });
  await until(page, ...there(50));
  const { port } = mock;
  await mock.stop();
  await until(page, 'it says so', () => !document.getElementById('banner').hidden);
  assert.match(await text(page, '#banner'), /The server has gone/);
  await pause(3000);
  assert.equal((await counts(page))[0], 50, 'nobody grows older while the server is not heard');
  assert.match(await text(page, '#banner'), /Last heard \d\s+s ago/);
  for (const peer of [...mock.peers.values()].slice(0, 20)) mock.peers.delete(peer.id);
  await mock.start(port);
  await until(page, ...there(30));
  assert.ok(await page.locator('#banner').isHidden());
  // A server that is stopped says nothing, and closes nothing.
  mock.tell = () => {};
  await until(page, 'silence is taken for the end', () => !document.getElementById('banner').hidden, null, 9000);
  assert.match(await text(page, '#banner'), /nothing was heard/);
  delete mock.tell;
  await page.click('#retry');
  await until(page, 'it is back', () => document.getElementById('banner').hidden);
  assert.deepEqual(troubles, []);
}

export async function a_hidden_page_asks_for_nothing() {
  const { mock, page, troubles } = await stage({ peers: 50, ...quick });
  await until(page, ...there(50));
  assert.equal(mock.watchers.size, 1);
  const show = (isHidden) => page.evaluate((isHidden) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => isHidden });
    document.dispatchEvent(new Event('visibilitychange'));
  }, isHidden);
  await page.evaluate((id) => (location.hash = `peer=${id}`), [...mock.peers.keys()][0]); // an open story asks each second
  await pause(500);
  await show(true);
  await pause(300);
  assert.equal(mock.watchers.size, 0, 'the stream is closed');
  const asked = mock.requests.length;
  await pause(2500);
  assert.deepEqual(mock.requests.slice(asked), [], 'and nothing else is asked');
  await show(false);
  await until(page, ...there(50));
  await until(page, 'live', () => document.getElementById('live').dataset.state === 'live');
  assert.equal(mock.watchers.size, 1, 'one stream, and not two');
  assert.deepEqual(troubles, []);
}

export async function a_token_is_asked_for() {
  const { mock, page, troubles } = await stage({ peers: 20, ...quick, token: 'correct horse' });
  await until(page, 'the form', () => !document.getElementById('ask').hidden);
  assert.ok(await page.locator('#main').isHidden());
  await page.fill('#token', 'wrong');
  await page.keyboard.press('Enter');
  await until(page, 'no', () => /does not know this token/.test(document.getElementById('ask-trouble').textContent));
  await page.fill('#token', 'correct horse');
  await page.keyboard.press('Enter');
  await until(page, ...there(20));
  assert.ok(await page.locator('#ask').isHidden() && (await page.locator('#main').isVisible()));
  await page.reload();
  await until(page, ...there(20));
  const peer = [...mock.peers.values()][3], { x, y } = await cellOf(page, peer.id);
  await page.mouse.click(x, y);
  await until(page, 'questions have it, too', () => /Round-trip time/.test(document.getElementById('story').innerText));
  assert.ok(!page.url().includes('horse'));
  assert.deepEqual(troubles, []);
}

export async function what_a_peer_sends_is_never_markup() {
  const { mock, page, troubles } = await stage({ peers: 5, ...quick });
  await until(page, ...there(5));
  const evil = '<img src=x onerror="globalThis.hurt=1"><script>globalThis.hurt=1</script>&lt;"\'';
  const peer = mock.arrive(evil);
  await until(page, ...there(6));
  const { x, y } = await cellOf(page, peer.id);
  await page.mouse.move(x, y);
  await until(page, 'as text in the hint', (evil) => document.getElementById('tip-address').textContent === evil, evil);
  await page.mouse.click(x, y);
  await until(page, 'as text in the story', (evil) => document.getElementById('story-title').textContent === evil, evil);
  mock.depart(peer, 'by_service', { service_reason: evil, errno: evil });
  mock.depart(mock.arrive('192.0.2.4:1'), evil, { service_reason: evil, connected_ms: evil, silent_ms: evil });
  const proto = mock.arrive('192.0.2.5:1');
  mock.depart(proto, '__proto__');
  mock.tell('__proto__', {});
  await until(page, 'as text among the departures', (evil) => document.getElementById('departures').textContent.includes(evil), evil);
  await pause(1200);
  assert.equal(await page.evaluate(() => globalThis.hurt), undefined);
  assert.equal(await page.locator('#departures img, #story img, #tip img, body script:not([type=module])').count(), 0);
  // Even if it were markup: the browser is told to run nothing but the page's own script.
  const refused = await page.evaluate(() => new Promise((done) => {
    document.addEventListener('securitypolicyviolation', (event) => done(event.effectiveDirective), { once: true });
    const script = document.createElement('script');
    script.textContent = 'globalThis.hurt = 1';
    document.body.append(script);
    setTimeout(() => done('nothing'), 1000);
  }));
  assert.equal(refused, 'script-src-elem');
  assert.equal(await page.evaluate(() => globalThis.hurt), undefined);
  assert.deepEqual(troubles.filter((one) => !/Content Security Policy/.test(one)), []);
}

export async function a_turn_is_told_in_slow_motion() {
  const { page, troubles } = await stage({ peers: 5, ...quick }, { reducedMotion: 'no-preference' });
  await until(page, 'the mean of the turns', () => /The mean of the last \d+ turns/.test(document.getElementById('ring-told').textContent));
  assert.equal(await page.locator('#parts li').count(), 7);
  assert.match(await text(page, '#parts'), /drive[^]*carry out[^]*reap/);
  await page.click('#slow');
  await until(page, 'the first sentence', () => document.querySelector('#sentences li.now')?.textContent.startsWith('It waited'));
  await until(page, 'a later one', () => document.querySelector('#sentences li.now')?.textContent.startsWith('It drove'));
  await page.click('#slow');
  assert.ok(await page.locator('#told').isHidden());
  await page.emulateMedia({ reducedMotion: 'reduce' });
  await page.click('#next-turn');
  assert.match(await text(page, '#told'), /Turn [\d\s]+[^]*of work/);
  await page.click('#mean');
  assert.ok((await page.locator('#told').isHidden()) && /The mean of the last/.test(await text(page, '#ring-told')));
  assert.equal(await page.evaluate(() => document.activeElement.id), 'slow', 'the focus is kept');
  assert.deepEqual(troubles, []);
}

export async function charts_and_departures_in_words() {
  const { mock, page, troubles } = await stage({ peers: 100, ...quick, churn: 30 });
  await until(page, 'bars', () => document.querySelectorAll('#over-time rect.arrivals').length > 0 && document.querySelectorAll('#over-time rect.left').length > 0);
  mock.cut((peer) => Math.random() < 0.1);
  await until(page, 'detections', () => /found dead: half within about \d/.test(document.getElementById('latency-told').textContent));
  assert.ok((await page.locator('#latency rect').count()) >= 1 && (await page.locator('#latency .deadline').count()) === 1);
  await until(page, 'words', () => /closed the connection; it had been connected for/.test(document.getElementById('departures').textContent));
  assert.match(await text(page, '#over-time-told'), /\d+ arrivals? and \d+ departures? in/);
  mock.news({ event: 'left_out', count: 312 });
  await until(page, 'what was left out', () => /312 events left out/.test(document.getElementById('departures').textContent));
  for (let one = 0; one < 200; one++) mock.depart(mock.arrive(), 'unreachable');
  await until(page, 'the latest', () => /could not be reached/.test(document.getElementById('departures').textContent));
  assert.ok((await page.locator('#departures li').count()) <= 50, 'the list does not grow for ever');
  assert.deepEqual(troubles, []);
}

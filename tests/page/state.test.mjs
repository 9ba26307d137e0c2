// What needs no document: sweeps and news, classes of silence, layout, filters, sentences, figures, the stream. `node --test`.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFileSync, readdirSync } from 'node:fs';

const source = new URL('../../src/observe/admin/page/', import.meta.url);
const load = (name) => import(new URL(name, source));
const [words, silence, address, { Crowd }, layout, history, streams] = await Promise.all(
  ['words.mjs', 'silence.mjs', 'address.mjs', 'crowd.mjs', 'layout.mjs', 'history.mjs', 'stream.mjs'].map(load),
);
const plain = (text) => text.replaceAll('\u202f', ' ');

test('a duration is what a person says', () => {
  const told = [0.0002, 0.001, 0.083, 0.99, 1, 4.21, 123.4, 999, 1000, 12540, 59940, 59960, 60000, 200000, 3599600, 7500000, 86400000, 273600000].map((ms) => plain(words.duration(ms)));
  assert.deepEqual(told, ['< 1 µs', '1 µs', '83 µs', '990 µs', '1 ms', '4.2 ms', '123 ms', '999 ms', '1 s', '12.5 s', '59.9 s', '1 min', '1 min', '3 min 20 s', '1 h', '2 h 5 min', '1 d', '3 d 4 h']);
  assert.equal(plain(words.duration(0)), '0 s');
  assert.equal(plain(words.duration(-5)), '0 s');
});

test('numbers and bytes have units', () => {
  assert.equal(plain(words.number(1234567)), '1 234 567');
  assert.equal(words.counted(1, 'peer'), '1 peer');
  assert.deepEqual([0, 1, 1023, 1536, 150 * 1024 * 1024].map((size) => plain(words.bytes(size))), ['0 bytes', '1 byte', '1 023 bytes', '1.5 KiB', '150 MiB']);
});

test('every reason of the contract has a sentence and a group', () => {
  const reasons = 'closed reset probes_unanswered data_unacknowledged window_shut unreachable unresponsive stalled evicted full too_many_from_address shut_down outbox_full memory_limit out_of_memory by_service failed';
  for (const reason of reasons.split(' ')) {
    assert.ok(!words.departureSentence({ reason, connected_ms: 1000 }).includes('_'), reason);
    assert.ok(words.GROUPS.some(({ name }) => name === words.groupOf(reason)), reason);
  }
  const told = words.departureSentence({ reason: 'probes_unanswered', silent_ms: 10100, connected_ms: 182000, bytes_unacknowledged: 0 });
  assert.equal(plain(told), 'answered no probe and was silent for 10.1 s; it had been connected for 3 min 2 s');
  assert.equal(plain(words.departureSentence({ reason: 'by_service', service_reason: 'said <b>quit</b>', connected_ms: null })), 'was let go by the service, as “said <b>quit</b>”');
  // A newer server may know more, and nothing that it calls them is a property of an object.
  assert.equal(words.departureSentence({ reason: 'a_new_one' }), 'a new one');
  assert.equal(words.groupOf('constructor'), 'reset');
});

test('a turn is told in order, without the parts that it did not have', () => {
  const turn = { n: 7, wait_us: 412000, latch_us: 2, drive_us: 41, accept_us: 0.22, expire_us: 0, carry_out_us: 0.1, reap_us: 12, events: 3 };
  assert.deepEqual(words.turnSentences(turn).map(({ part, sentence }) => [part, plain(sentence)]), [
    [0, 'It waited 412 ms; the kernel announced 3 events.'],
    [1, 'It remembered what was announced, in 2 µs.'],
    [2, 'It drove whoever could make progress for 41 µs.'],
    [6, 'It freed what had ended, in 12 µs.'],
    [-1, 'In all 55 µs of work, less than 0.1 % of the turn.'],
  ]);
  assert.equal(plain(words.turnSentences({ n: 8, wait_us: 1, events: 0 })[0].sentence), 'It did not wait; the kernel announced nothing.');
});

const hello = { deadline_ms: 35000, idle_ms: 5000, interval_ms: 5000, pace_ms: 1000 };

test('silence has classes: calm, asked, in danger', () => {
  const at = silence.moments(hello);
  assert.deepEqual([at.asked, Math.round(at.danger), at.deadline], [6250, 23333, 35000]);
  const name = (silent, probes) => silence.CLASSES[silence.classOf(silence.level(silent, probes, at))].name;
  assert.deepEqual([name(0, 0), name(6200, 1), name(6300, 1), name(6300, 0), name(11300, 0), name(23400, 0), name(34000, 6), name(99000, 0)],
    ['calm', 'calm', 'asked', 'calm', 'asked', 'danger', 'danger', 'danger']);
  let last = -1;
  for (let silent = 0; silent < 40000; silent += 100) {
    const level = silence.level(silent, 1, at);
    assert.ok(level >= last && level < silence.FIRST_DEAD, 'it only grows');
    last = level;
  }
  for (const deadline of [1, 300, 1000, 5000, 86400000]) {
    const short = silence.moments({ ...hello, deadline_ms: deadline });
    assert.ok(short.asked < short.danger && short.danger < short.deadline, `${deadline} ms`);
  }
  assert.equal(silence.goneLevel(silence.DEAD_STAYS, true), silence.EMPTY);
  assert.equal(silence.classOf(silence.goneLevel(0, true)), 3);
  assert.equal(silence.classOf(silence.goneLevel(3999, false)), 4);
});

const at = silence.moments(hello);
const full = (peers, last = true) => ({ sweep: 1, full: true, last, peers });
const arrival = (id, peer = `10.0.0.${id}:1`) => ({ event: 'arrival', id, peer });
const departure = (id, reason = 'closed') => ({ event: 'departure', id, peer: `10.0.0.${id}:1`, reason });
const age = (crowd, now) => {
  const levels = new Uint8Array(crowd.cells.length);
  const counts = crowd.age(now, at, levels);
  return { levels: [...levels].slice(0, crowd.cells.length), counts };
};

test('a full sweep replaces everything, a small one what has changed', () => {
  const crowd = new Crowd();
  crowd.slice(full([['a', '10.0.0.1:1', 100, 0, 0], ['b', '10.0.0.2:1', 200, 1, 9]], false));
  assert.equal(crowd.isComplete, false);
  crowd.slice(full([['c', '10.0.0.3:1', 300, 0, 0]]));
  assert.deepEqual([...crowd.peers.keys()], ['a', 'b', 'c']);
  crowd.slice({ sweep: 2, full: false, last: true, peers: [['b', 500, 2, 0], ['unknown', 1, 0, 0]] });
  assert.deepEqual([crowd.find('b').heard, crowd.find('b').probes, crowd.peers.size], [500, 2, 3]);
  crowd.slice(full([['c', '10.0.0.3:1', 900, 0, 0]]));
  assert.deepEqual([...crowd.peers.keys()], ['c']);
  assert.equal(crowd.find('c').cell, 2, 'it stays where it was');
});

test('news in the middle of a full sweep are not undone by it', () => {
  const crowd = new Crowd();
  crowd.slice(full([['a', '10.0.0.1:1', 1, 0, 0]], false));
  crowd.news(arrival('n'), 5);
  crowd.news(departure('a'), 6);
  crowd.news(departure('b'), 6); // before the sweep has come to it
  crowd.slice(full([['b', '10.0.0.2:1', 1, 0, 0], ['c', '10.0.0.3:1', 1, 0, 0]]));
  assert.deepEqual([...crowd.peers.keys()], ['n', 'c']);
  assert.equal(crowd.find('a').departure.reason, 'closed');
});

test('who has gone among events that were left out is not kept', () => {
  const crowd = new Crowd();
  crowd.slice(full([['a', 'a:1', 1, 0, 0], ['b', 'b:1', 1, 0, 0]], false));
  crowd.news({ event: 'left_out', count: 9 }, 5); // a's departure was one of them; the sweep begins again
  crowd.slice(full([['b', 'b:1', 1, 0, 0]], false));
  crowd.slice(full([['c', 'c:1', 1, 0, 0]]));
  assert.deepEqual([...crowd.peers.keys()], ['b', 'c']);
});

test('who has gone keeps the cell for a while, and nobody else moves', () => {
  const crowd = new Crowd();
  crowd.slice(full(['a', 'b', 'c', 'd'].map((id) => [id, `${id}:1`, 1000, 0, 0])));
  crowd.news(departure('b', 'probes_unanswered'), 2000);
  crowd.news(departure('c'), 2000);
  let seen = age(crowd, 2100);
  assert.deepEqual(seen.levels.map(silence.classOf), [0, 3, 4, 0]);
  crowd.news(arrival('e'), 2200);
  assert.equal(crowd.find('e').cell, 4, 'their cells are not free yet');
  seen = age(crowd, 2000 + silence.LEFT_STAYS);
  crowd.news(arrival('f'), 6100);
  assert.equal(crowd.find('f').cell, 2, 'the first that is free');
  age(crowd, 2000 + silence.DEAD_STAYS);
  crowd.news(arrival('g'), 15000);
  crowd.news(arrival('h'), 15000);
  assert.deepEqual([crowd.find('g').cell, crowd.find('h').cell, crowd.find('d').cell], [1, 5, 3]);
});

test('how long a dead peer was silent is known even if the kernel has forgotten', () => {
  const crowd = new Crowd();
  crowd.slice(full([['a', 'a:1', 1000, 3, 0], ['b', 'b:1', 1000, 0, 0]]));
  const [dead, left] = [{ ...departure('a', 'unreachable'), silent_ms: null }, { ...departure('b'), silent_ms: null }];
  crowd.news(dead, 6000);
  crowd.news(left, 6000);
  assert.deepEqual([dead.silent_ms, left.silent_ms], [5000, null]);
});

test('cells stay consistent whatever comes and goes', () => {
  const crowd = new Crowd();
  let seed = 7, now = 0;
  const random = (below) => (seed = (seed * 1103515245 + 12345) % 2147483648) % below;
  for (let step = 0; step < 6000; step++) {
    now += random(40);
    const id = String(step);
    const there = [...crowd.peers.keys()];
    if (random(5) < (step < 3000 ? 3 : 1)) crowd.news(arrival(id, `10.0.${random(4)}.1:1`), now);
    else if (there.length) crowd.news(departure(there[random(there.length)], random(2) ? 'closed' : 'unreachable'), now);
    if (random(400) === 0) crowd.setFilter(random(2) ? address.filter('10.0.1.') : null);
    if (random(10)) continue;
    age(crowd, now);
    crowd.cells.forEach((peer, cell) => assert.ok(peer === null || peer.cell === cell));
    assert.equal(crowd.free, crowd.cells.filter((peer) => peer === null).length);
    const matching = [...crowd.peers.values()].filter((peer) => !crowd.filter || crowd.filter.test(peer.address));
    assert.equal(crowd.matching, matching.length);
    assert.ok(matching.every((peer) => crowd.cells[peer.cell] === peer));
    assert.equal(new Set(crowd.cells.filter(Boolean)).size, crowd.cells.filter(Boolean).length);
  }
  assert.ok(crowd.gone.size <= 2000 + crowd.cells.length);
});

test('the quietest are found in order', () => {
  const crowd = new Crowd();
  crowd.slice(full([5, 3, 9, 1, 7, 2].map((heard) => [`p${heard}`, `${heard}:1`, heard, 0, 0])));
  assert.deepEqual(crowd.quietest(3).map((peer) => peer.heard), [1, 2, 3]);
  assert.equal(crowd.quietest(10).length, 6);
});

test('everybody fits into the layout, at any width', () => {
  for (const count of [0, 1, 30, 2000, 20000]) {
    for (const width of [280, 340, 1200]) {
      const made = layout.layout(count, width, 460, 2);
      assert.ok(made.capacity >= count && made.columns * made.pitch <= width, `${count} at ${width}`);
      assert.ok(layout.suits(made, count, width, 460, 2));
      assert.ok(!layout.suits(made, made.capacity + 1, width, 460, 2) && !layout.suits(made, count, width + 1, 460, 2));
    }
  }
  const made = layout.layout(100, 240, 460);
  assert.deepEqual([layout.cellAt(made, 0, 0), layout.cellAt(made, made.pitch * 1.5, made.pitch * 1.5), layout.cellAt(made, 241, 0), layout.cellAt(made, -1, 0)], [0, made.columns + 1, -1, -1]);
});

test('keys move over cells that nobody has', () => {
  const made = { columns: 4 };
  const there = [1, 1, 0, 1, /**/ 1, 0, 0, 1, /**/ 0, 1];
  const step = (key, from) => layout.step(key, from, made, (cell) => there[cell] === 1, there.length);
  assert.deepEqual([step('ArrowRight', 1), step('ArrowLeft', 3), step('ArrowDown', 1), step('ArrowUp', 9), step('Home', 7), step('End', 0)], [3, 1, 9, 1, 0, 9]);
  assert.deepEqual([step('ArrowUp', 0), step('ArrowRight', 9), step('ArrowDown', 3), step('PageDown', 0), step('PageUp', 9), step('x', 1)], [0, 9, 7, 9, 0, null]);
});

test('a filter takes prefixes and networks', () => {
  const let_through = (text, ...addresses) => addresses.map((one) => address.filter(text).test(one));
  assert.equal(address.filter('  '), null);
  assert.deepEqual(let_through('192.0.2.', '192.0.2.1:5', '192.0.20.1:5', '[2001:db8::1]:5'), [true, false, false]);
  assert.deepEqual(let_through('2001:DB8', '[2001:db8::1]:5', '192.0.2.1:5'), [true, false]);
  assert.deepEqual(let_through('10.1.0.0/15', '10.0.255.9:1', '10.1.2.3:1', '[::ffff:10.0.0.1]:1', '10.2.0.0:1'), [true, true, true, false]);
  assert.deepEqual(let_through('2001:db8::/33', '[2001:db8:7fff::1]:1', '[2001:db8:8000::1]:1', '10.0.0.1:1'), [true, false, false]);
  assert.deepEqual(let_through('0.0.0.0/0', '1.2.3.4:1', '[::1]:1'), [true, false]);
  assert.deepEqual(let_through('fe80::/10', '[fe80::1%eth0]:1'), [true]);
  for (const bad of ['10.0.0.0/33', '10.0.0/8', '1.2.3.4/', '::/129', '1::2::3/8', '10.0.0.0/8/8', '300.1.1.1/8', 'x/8']) assert.ok(address.filter(bad).trouble, bad);
  assert.equal(address.octets('1:2:3:4:5:6:7::8'), null, 'eight words leave nothing to a double colon');
});

test('bars are differences, and a gap is a gap', () => {
  const kept = new history.History(1000, 5);
  const add = (at, arrivals, closed) => kept.add({ at, arrivals, departures: { closed, unreachable: 1 } });
  add(1000, 50, 10);
  add(2000, 53, 11);
  add(2900, 54, 11);
  assert.deepEqual(kept.bars.map((bar) => [bar.arrivals, bar.seen]), [[0, false], [4, true]]);
  kept.pause();
  add(5000, 99, 40);
  add(5500, 100, 40);
  assert.deepEqual(kept.bars.map((bar) => [bar.arrivals, bar.seen]), [[0, false], [4, true], [0, false], [0, false], [1, true]]);
  assert.equal(history.leavingIn(kept.bars[1]), 1);
  add(6000, 3, 0); // another server
  assert.equal(kept.bars.at(-1).arrivals, 0);
  add(900000, 10, 0);
  assert.equal(kept.bars.length, 1, 'after a long time nothing old is kept');
  assert.deepEqual([0, 1, 3, 7, 21, 99, 1001].map(history.round), [1, 1, 3, 8, 30, 100, 2000]);
});

test('the histogram shows what is filled, and the deadline', () => {
  const detection = { le: [1, 2, 5, 10, 20, 30], counts: [0, 0, 0, 10, 0, 0, 2], sum: 0, count: 12 };
  const shown = history.buckets(detection, 10);
  assert.deepEqual([shown[0].from, shown.at(-1).to, shown.filter((one) => one.isLate).length], [0, Infinity, 3]);
  assert.equal(history.quantile(detection, 0.5), 8);
  assert.equal(history.quantile(detection, 0.99), 30);
  assert.equal(history.quantile({ le: [1], counts: [0, 0], count: 0 }, 0.5), null);
  assert.ok(history.buckets({ le: [1, 2], counts: [0, 0, 0], count: 0 }, 99).length > 0, 'a deadline beyond the last bucket');
});

test('events are read from pieces of any size', () => {
  const sent = 'event: news\r\ndata: {"a":\ndata: 1}\nid: 7\n\n: alive\n\ndata:x\n\nevent: figures\ndata: ünlaut\n\nevent: cut off\ndata: never';
  for (const size of [1, 2, 7, 1000]) {
    const heard = [];
    const read = streams.reader((...told) => heard.push(told));
    for (let at = 0; at < sent.length; at += size) read(sent.slice(at, at + size));
    assert.deepEqual(heard, [['news', '{"a":\n1}', '7'], ['message', 'x', '7'], ['figures', 'ünlaut', '7']]);
  }
});

test('the stream tries again, later each time, and not at all while paused', async () => {
  assert.deepEqual([0, 1, 2, 20].map((tries) => streams.backOff(tries, 0.5)), [500, 1000, 2000, 10000]);
  const heard = [];
  let asked = 0;
  const stream = new streams.Stream('/watch', () => ({}), {
    event: (name) => heard.push(name), connected: () => heard.push('connected'), lost: (trouble) => heard.push(trouble), unauthorized: () => heard.push('401'),
  }, async () => {
    asked++;
    if (asked === 1) throw new Error('refused');
    if (asked === 2) return new Response('event: hello\ndata: {}\n\nevent: bad\ndata: {\n\n');
    return new Response(null, { status: 401 });
  });
  stream.resume();
  await new Promise((done) => setTimeout(done, 50));
  assert.deepEqual(heard, ['refused']);
  stream.pause();
  await new Promise((done) => setTimeout(done, 800));
  assert.equal(asked, 1, 'nobody asks while it is paused');
  stream.resume();
  await new Promise((done) => setTimeout(done, 50));
  assert.deepEqual(heard, ['refused', 'connected', 'hello', 'the connection ended']);
  clearTimeout(stream.timer);
  stream.resume();
  await new Promise((done) => setTimeout(done, 50));
  assert.equal(heard.at(-1), '401');
  stream.pause();
});

test('a pause is no loss, and a second stream does not grow beside the first', async () => {
  const heard = [];
  let open = 0;
  const endless = (path, { signal }) => new Promise((_, reject) => {
    open++;
    signal.addEventListener('abort', () => {
      open--;
      reject(new Error('aborted'));
    });
  });
  const stream = new streams.Stream('/watch', () => ({}), { event() {}, connected() {}, lost: () => heard.push('lost'), unauthorized() {} }, endless);
  const soon = () => new Promise((done) => setTimeout(done, 20));
  stream.resume();
  stream.resume();
  await soon();
  assert.equal(open, 1);
  stream.pause();
  await soon();
  assert.deepEqual([open, heard], [0, []]);
  stream.resume();
  stream.pause();
  stream.resume();
  await soon();
  assert.deepEqual([open, heard], [1, []]);
  stream.pause();
});

test('the sources can be put into one script', () => {
  const names = new Map();
  for (const file of readdirSync(source).filter((name) => name.endsWith('.mjs'))) {
    const text = readFileSync(new URL(file, source), 'utf8');
    assert.ok(!/\b(inner|outer)HTML\b|insertAdjacentHTML|document\.write|\beval\(|new Function/.test(text), `${file}: what a peer sends could become markup`);
    for (const [, declared] of text.matchAll(/^(?:export )?(?:async )?(?:const|let|class|function) ([^=({]+?)(?= ?[=({]| extends|;)/gm)) {
      assert.ok(!names.has(declared), `${declared} is declared in ${names.get(declared)} and in ${file}`);
      names.set(declared, file);
    }
  }
  assert.ok(names.size > 60);
});

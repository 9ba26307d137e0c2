// The page: what the stream tells goes to the crowd, the history and the ring; what they know is shown.
//
// Reading order: words, silence, address, crowd, layout, history and stream know no document and are tested in node; dom, sprites, grid,
// legend, ring, charts and story draw; this file joins them. build.rs puts all of them into one document, in the order of
// their imports: so an import takes one line, and no two files have a top-level name in common.

import { filter } from './address.mjs';
import { Latest, latency, overTime, reasons } from './charts.mjs';
import { Crowd } from './crowd.mjs';
import { by, element, say } from './dom.mjs';
import { Grid } from './grid.mjs';
import { History } from './history.mjs';
import { Legend } from './legend.mjs';
import { Ring } from './ring.mjs';
import { moments } from './silence.mjs';
import { Story } from './story.mjs';
import { Stream } from './stream.mjs';
import { counted, departureSentence, duration, groupOf, nameOf, number, seconds } from './words.mjs';

const TOKEN = 'stillthere-token';
const QUIETEST = 8; // rows of "silent for longest"
const ANNOUNCE = 5000; // a screen reader hears of departures at most so often

let hello = null, figures = null, lostAt = 0, nextTry = 0, frozen = 0, skew = 0;

const crowd = new Crowd(), history = new History(), ring = new Ring(), legend = new Legend(), latest = new Latest();

/** The server's clock, in milliseconds since the epoch. It stands still while the server is not heard: nobody ages unseen. */
const serverNow = () => frozen || Date.now() + skew;

const headers = () => {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}` } : {};
};
const ask = (path, method) => fetch(path, { method, headers: headers(), cache: 'no-store' });

const story = new Story(crowd, serverNow, ask, { closed: () => chosen(null) });

const grid = new Grid(crowd, serverNow, {
  pointed: (peer) => story.hint(peer, () => grid.rectangle(peer)),
  left: () => story.unhint(),
  moved(peer) {
    story.hint(peer, () => grid.rectangle(peer));
    say(by('said'), `${peer.address}: ${story.sentence(peer)}`);
  },
  chosen: (peer, takesFocus) => choose(peer.id, takesFocus),
  closed: () => story.close(),
  counted: (levels) => tell(legend.tell(levels)),
});

/** Opens a peer's story, and makes the address of the page lead to it. */
function choose(id, takesFocus) {
  if (link().peer !== id) location.hash = `peer=${encodeURIComponent(id)}`;
  grid.chosen = crowd.find(id);
  story.open(id, takesFocus);
  grid.refresh();
}

function chosen(peer) {
  grid.chosen = peer;
  grid.refresh();
  if (peer === null && link().peer) window.history.replaceState(null, '', location.pathname + location.search);
  if (by('story').contains(document.activeElement) || document.activeElement === document.body) by('grid').focus({ preventScroll: true });
}

const link = () => ({ peer: new URLSearchParams(location.hash.slice(1)).get('peer') });

function follow() {
  const { peer } = link();
  if (peer && hello && peer !== story.id) choose(peer, false);
  else if (!peer) story.close();
}

/** Tells in words how many are there, and in which state; called at each frame. */
function tell([, asked, danger]) {
  const there = crowd.peers.size, most = hello?.limit;
  const trouble = [asked ? `${number(asked)} ${asked === 1 ? 'leaves' : 'leave'} probes unanswered` : '', danger ? `${number(danger)} ${danger === 1 ? 'is' : 'are'} near the deadline` : ''].filter(Boolean);
  const all = there === 0 ? 'Nobody is there.' : `${counted(there, 'peer is', 'peers are')} there.`;
  const rest = there === 0 ? '' : trouble.length ? ` ${trouble.join(', ')}.` : ' Each of them was heard from lately.';
  if (hello) say(by('headline'), crowd.filter && there ? all : all + rest);
  document.title = hello ? `${number(there)} ${there === 1 ? 'peer' : 'peers'} · stillthere` : 'stillthere';
  by('filter-told').value = crowd.filter ? `${number(crowd.matching)} of ${number(there)}` : by('filter-told').dataset.trouble ? by('filter-told').value : '';
  grid.empty(!hello || !crowd.isComplete || crowd.cells.length ? null : there === 0 ? `Nobody is there. The server listens on ${hello.listen?.join(', ')}${most ? ` and has room for ${counted(most, 'peer')}` : ''}.` : crowd.filter && crowd.matching === 0 ? 'Nobody has an address like this.' : null);
}

const rows = [];

/** The peers that were silent longest, in words: the same few elements each time. */
function showQuietest() {
  if (!grid.at || !by('quietest').closest('details').open) return;
  const found = crowd.quietest(QUIETEST);
  while (rows.length < found.length) {
    const address = element('span', { class: 'address' }), bar = element('div'), silent = element('span', { class: 'silent' });
    const meter = element('span', { class: 'meter' }, bar), to = element('a', { href: '#' }, address, meter, silent);
    rows.push({ address, bar, meter, silent, to, row: element('li', {}, to) });
    by('quietest').append(rows.at(-1).row);
  }
  rows.forEach(({ address, bar, meter, silent, to, row }, at) => {
    const peer = found[at];
    row.hidden = !peer;
    if (!peer) return;
    const ms = Math.max(0, serverNow() - peer.heard);
    to.setAttribute('href', `#peer=${encodeURIComponent(peer.id)}`);
    say(address, peer.address);
    say(silent, duration(Math.round(ms / 100) * 100));
    meter.dataset.class = { calm: 'calm', asked: 'asked', 'in danger': 'danger' }[story.classOf(peer)];
    bar.style.transform = `scaleX(${Math.min(1, ms / grid.at.deadline)})`;
  });
}

// Departures are announced together, and not more often than somebody can listen to.
let announced = 0, unsaid = [];
function announce() {
  if (!unsaid.length || Date.now() - announced < ANNOUNCE) return;
  announced = Date.now();
  const sums = new Map();
  for (const { reason } of unsaid) sums.set(nameOf(reason), (sums.get(nameOf(reason)) ?? 0) + 1);
  const parts = [...sums].map(([name, count]) => `${number(count)} ${name}`);
  say(by('said-news'), unsaid.length === 1 ? `${unsaid[0].peer} departed: ${nameOf(unsaid[0].reason)}` : `${counted(unsaid.length, 'peer')} departed: ${parts.join(', ')}`);
  unsaid = [];
}

const take = {
  hello(told) {
    hello = told;
    skew = told.time - Date.now();
    story.at = grid.at = moments(told);
    legend.set(grid.at);
    crowd.pending = null;
    say(by('where'), `listens on ${told.listen?.join(', ') ?? 'nothing'} · deadline ${seconds(told.deadline_ms)} · version ${told.version}`);
    grid.refresh();
    follow();
  },
  peers(slice) {
    crowd.slice(slice);
    if (slice.full && slice.last && link().peer) grid.chosen = crowd.find(link().peer);
    grid.refresh();
  },
  news(event) {
    const at = Date.parse(event.time);
    crowd.news(event, Number.isNaN(at) ? serverNow() : at);
    if (event.event === 'departure' || event.event === 'left_out') latest.add(event);
    if (event.event === 'departure') {
      if (groupOf(event.reason) !== 'left') unsaid.push(event);
      if (event.id === story.id) story.show();
      if (event.id === grid.cursor?.id) say(by('said'), `${event.peer} ${departureSentence(event)}`);
    }
    if (event.event === 'stop') say(by('where'), 'The server is stopping.');
    grid.refresh();
  },
  turns: ({ turns }) => ring.add(turns),
  figures(told) {
    if (figures && told.at > figures.at) ring.rate = Math.max(0, ((told.turns - figures.turns) * 1000) / (told.at - figures.at));
    skew = told.at - Date.now();
    figures = told;
    history.add(told);
    showCharts();
  },
};

function showCharts() {
  overTime(history);
  if (figures) reasons(figures);
  if (figures?.detection && grid.at) latency(figures.detection, grid.at, figures.late ?? 0);
}

function state(name) {
  document.body.dataset.state = name;
  const words = { live: 'live', gone: 'the server has gone', waiting: 'connecting', asking: 'waits for a token', paused: 'paused' };
  by('live').dataset.state = name;
  say(by('live'), words[name]);
  by('banner').hidden = name !== 'gone';
}

const stream = new Stream('/watch', headers, {
  event: (name, told) => Object.hasOwn(take, name) && take[name](told),
  connected() {
    by('ask').hidden = true;
    by('main').hidden = false;
    [lostAt, frozen] = [0, 0];
    state('live');
  },
  lost(trouble, wait) {
    if (!lostAt) {
      frozen = serverNow();
      lostAt = Date.now();
      history.pause();
      say(by('banner-text'), `The server has gone: ${trouble}.`);
    }
    nextTry = Date.now() + wait;
    state('gone');
    showBanner();
  },
  unauthorized() {
    const had = sessionStorage.getItem(TOKEN) !== null;
    sessionStorage.removeItem(TOKEN);
    say(by('ask-trouble'), had ? 'The server does not know this token.' : '');
    by('ask').hidden = false;
    by('main').hidden = true;
    say(by('headline'), 'Who is there is told only with a token.');
    state('asking');
    by('token').value = '';
    by('token').focus();
  },
});

/** For how long the server has been gone. It is no live text: a screen reader would read it out each second. */
function showBanner() {
  if (!lostAt) return;
  const wait = Math.max(0, nextTry - Date.now());
  say(by('banner-time'), `Last heard ${duration(Math.round((Date.now() - lostAt) / 1000) * 1000)} ago; ${wait > 500 ? `next try in ${duration(Math.ceil(wait / 1000) * 1000)}` : 'trying'}. What you see is how it was.`);
}

by('retry').addEventListener('click', () => {
  stream.pause();
  stream.resume();
});
by('ask').addEventListener('submit', (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, by('token').value.trim());
  stream.resume();
});
by('filter').addEventListener('input', () => {
  const wanted = filter(by('filter').value);
  const told = by('filter-told');
  delete told.dataset.trouble;
  by('filter').setAttribute('aria-invalid', String(Boolean(wanted?.trouble)));
  if (wanted?.trouble) {
    told.dataset.trouble = 'yes';
    told.value = wanted.trouble;
  }
  crowd.setFilter(wanted?.trouble ? null : wanted);
  if (!(grid.cursor?.cell >= 0)) [grid.cursor, grid.last] = [null, -1];
  grid.refresh();
});
by('filter').addEventListener('keydown', (event) => {
  if (event.key === 'Enter') by('grid').focus();
  if (event.key === 'Escape' && by('filter').value === '') by('grid').focus();
});
addEventListener('keydown', (event) => {
  const isTyping = event.target instanceof HTMLInputElement;
  if (event.key === '/' && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    by('filter').focus();
    by('filter').select();
  }
  if (event.key === 'Escape' && !isTyping) story.close();
});
addEventListener('hashchange', follow);

/** Nobody looks: nothing is asked for, and nothing drawn. */
function watchOrRest() {
  if (document.hidden) {
    stream.pause();
    history.pause();
    frozen ||= serverNow();
    if (!lostAt) state('paused');
  } else {
    stream.resume();
    grid.refresh();
    story.renew();
  }
}
document.addEventListener('visibilitychange', watchOrRest);

setInterval(() => {
  if (document.hidden) return;
  latest.show();
  announce();
  showBanner();
  story.show();
}, 250);
setInterval(() => document.hidden || showQuietest(), 500);
new ResizeObserver(() => document.hidden || showCharts()).observe(by('over-time'));

// What the tests look at. Nothing here changes the page.
globalThis.stillthere = { crowd, grid, history, ring, story, stream };

watchOrRest();

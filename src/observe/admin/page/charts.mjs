// Two charts, arrivals and departures over time and detection latency, and the latest departures in words.

import { by, element, glyph, say, svg } from './dom.mjs';
import { buckets, leavingIn, quantile, round } from './history.mjs';
import { GROUPS, counted, departureSentence, duration, groupOf, nameOf, number, seconds } from './words.mjs';

const HIGH = 190; // of a chart, in pixels
const LATEST = 50; // departures in words

/** Sets the size of a chart and returns its width. */
function width(chart) {
  const wide = Math.max(200, Math.round(chart.clientWidth));
  chart.setAttribute('viewBox', `0 0 ${wide} ${HIGH}`);
  return wide;
}

const text = (x, y, words, anchor = 'start', name = '') => svg('text', { x, y, 'text-anchor': anchor, class: name }, words);
const line = (x1, y1, x2, y2, name) => svg('line', { x1, y1, x2, y2, class: name });

/** Arrivals upwards, departures downwards by who decided. */
export function overTime(history) {
  const chart = by('over-time'), wide = width(chart), left = 34, foot = 18;
  const middle = Math.round((HIGH - foot) / 2), tall = middle - 6;
  const { bars, most } = history;
  const top = round(history.peak()), each = (wide - left) / most;
  const bar = Math.max(1, each - (each > 4 ? 1 : 0.3));
  const drawn = [line(left, 6, wide, 6, 'rule'), line(left, middle + tall, wide, middle + tall, 'rule')];
  bars.forEach((one, at) => {
    const x = (wide - (bars.length - at) * each).toFixed(2);
    if (!one.seen) {
      drawn.push(svg('rect', { class: 'unseen-time', x, y: 6, width: each.toFixed(2), height: 2 * tall }));
      return;
    }
    const stack = (name, count, from, down) => {
      const high = (count / top) * tall;
      drawn.push(svg('rect', { class: name, x, width: bar.toFixed(2), y: (down ? from : from - high).toFixed(2), height: Math.max(high, 1).toFixed(2) }));
      return from + (down ? high : -high);
    };
    if (one.arrivals) stack('arrivals', one.arrivals, middle - 0.5, false);
    let from = middle + 0.5;
    for (const { name } of GROUPS) if (one.departures[name]) from = stack(name, one.departures[name], from, true);
  });
  drawn.push(line(left, middle, wide, middle, 'axis'));
  drawn.push(text(left - 6, 14, number(top), 'end'), text(left - 6, middle + 4, '0', 'end'), text(left - 6, middle + tall, number(top), 'end'));
  drawn.push(text(left + 4, 20, 'arrivals'), text(left + 4, middle + tall - 6, 'departures'));
  const span = (history.width * most) / 1000;
  drawn.push(text(left, HIGH - 2, `${span / 60} min ago`), text(wide, HIGH - 2, 'now', 'end'));
  chart.replaceChildren(...drawn);
  const seen = bars.filter((one) => one.seen);
  const [came, went] = [seen.reduce((sum, one) => sum + one.arrivals, 0), seen.reduce((sum, one) => sum + leavingIn(one), 0)];
  const time = duration(seen.length * history.width);
  const bare = `in steps of ${history.width / 1000}\u202fs`;
  say(by('over-time-told'), seen.length ? `${counted(came, 'arrival')} and ${counted(went, 'departure')} in ${time} that this page has watched, ${bare}.` : 'Watching …');
}

/** All reasons since the server's start, with their numbers. */
export function reasons(figures) {
  const order = (reason) => GROUPS.findIndex(({ name }) => name === groupOf(reason));
  const all = Object.entries(figures.departures ?? {}).filter(([, count]) => count > 0);
  all.sort(([a, x], [b, y]) => order(a) - order(b) || y - x);
  const refused = Object.entries(figures.refusals ?? {}).filter(([, count]) => count > 0).map(([reason, count]) => [reason, count]);
  const key = JSON.stringify([all, refused]);
  if (by('reasons').dataset.key === key) return;
  by('reasons').dataset.key = key;
  const row = ([reason, count], prefix) => element('li', {}, glyph(groupOf(reason)), element('span', {}, prefix + nameOf(reason)), element('b', {}, number(count)));
  by('reasons').replaceChildren(...all.map((one) => row(one, '')), ...refused.map((one) => row(one, 'refused, ')));
}

/** How long those that were found dead had been silent, with the deadline as a line. */
export function latency(detection, at, late) {
  const chart = by('latency'), wide = width(chart), foot = 32, head = 38, tall = HIGH - foot - head;
  const deadline = at.deadline / 1000;
  const bars = buckets(detection, deadline);
  const top = Math.max(1, ...bars.map(({ count }) => count));
  const each = wide / bars.length;
  const drawn = [];
  const every = Math.ceil(46 / each); // labels need their room
  let mark = wide;
  bars.forEach((one, place) => {
    const x = place * each, high = (one.count / top) * tall;
    if (one.count) {
      drawn.push(svg('rect', { class: one.isLate && late ? 'late' : 'in-time', x: (x + 1).toFixed(2), width: Math.max(1, each - 2).toFixed(2), y: (head + tall - high).toFixed(2), height: Math.max(1.5, high).toFixed(2), rx: Math.min(2, high / 2) }));
      drawn.push(text(x + each / 2, head + tall - high - 4, number(one.count), 'middle'));
    }
    if (one.from < deadline && one.to >= deadline) {
      const within = Number.isFinite(one.to) ? (deadline - one.from) / (one.to - one.from) : 1;
      mark = x + each * within;
    }
    if (place > 0 && (bars.length - place) % every === 0) drawn.push(text(x, HIGH - foot + 16, seconds(one.from * 1000), 'middle'));
  });
  drawn.push(line(0, head + tall + 0.5, wide, head + tall + 0.5, 'axis'));
  drawn.push(line(mark, 4, mark, head + tall, 'deadline'));
  const isRight = mark > wide / 2;
  drawn.push(text(mark + (isRight ? -6 : 6), 14, `deadline ${seconds(at.deadline)}`, isRight ? 'end' : 'start', 'strong'));
  drawn.push(text(wide / 2, HIGH - 2, 'silent for so long when it was found dead', 'middle'));
  chart.replaceChildren(...drawn);
  if (!detection.count) {
    say(by('latency-told'), 'Nobody was found dead yet.');
    return;
  }
  const half = quantile(detection, 0.5), most = quantile(detection, 0.99);
  const judgement = late ? `${counted(late, 'was', 'were')} found later than promised.` : 'None was found later than promised.';
  say(by('latency-told'), `${counted(detection.count, 'peer')} found dead: half within about ${seconds(half * 1000)}, 99\u202f% within about ${seconds(most * 1000)}. ${judgement}`);
}

const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

/** The latest departures: new ones are put on top, the oldest leave. */
export class Latest {
  constructor() {
    Object.assign(this, { waiting: [], isEmpty: true });
    by('departures').replaceChildren(element('li', { class: 'none' }, 'Nobody has departed since this page was opened.'));
  }

  add(event) {
    this.waiting.push(event);
    if (this.waiting.length > LATEST) this.waiting.shift();
  }

  /** Shows what has come since the last time: thousands may go at once, so this is done a few times a second. */
  show() {
    if (!this.waiting.length) return;
    const list = by('departures');
    if (list.firstChild?.className === 'none' && this.isEmpty) list.firstChild.remove();
    this.isEmpty = false;
    for (const event of this.waiting) {
      if (event.event === 'left_out') {
        list.prepend(element('li', { class: 'none' }, `${counted(event.count, 'event')} left out: more happened at once than this page was told.`));
        continue;
      }
      const time = element('time', { datetime: event.time }, clock.format(new Date(event.time)));
      const who = element('a', { class: 'address', href: `#peer=${encodeURIComponent(event.id)}` }, event.peer);
      list.prepend(element('li', {}, glyph(groupOf(event.reason)), element('span', {}, time, who, ` ${departureSentence(event)}.`)));
    }
    this.waiting = [];
    while (list.children.length > LATEST) list.lastChild.remove();
  }
}

// One turn of the loop as a ring, and in slow motion as sentences.
//
// Each part of a turn has its place on the ring, in the order in which it is done, clockwise from the top. How far a bar reaches is
// how long the part takes, on a logarithmic scale: a wait of a second and a latch of a microsecond are both to be seen.
// Slow motion takes one turn, and tells it part by part.

import { by, element, say, svg } from './dom.mjs';
import { PARTS, duration, number, turnSentences, workOf } from './words.mjs';

const CENTRE = [170, 145], INNER = 50, OUTER = 104, LABEL = 118;
const DECADES = 6; // from a microsecond to a second
const KEPT = 64; // turns that the mean is taken over
const STEP = 1500; // a sentence in slow motion stays so long, in milliseconds

const angle = (part) => ((part - 0.5) / PARTS.length) * 2 * Math.PI; // where a part begins; the first lies about the top
const point = (radius, a) => [CENTRE[0] + radius * Math.sin(a), CENTRE[1] - radius * Math.cos(a)].map((x) => x.toFixed(2)).join(' ');

function arc(part, to) {
  const [a, b] = [angle(part) + 0.022, angle(part + 1) - 0.022];
  return `M${point(INNER, a)} L${point(to, a)} A${to} ${to} 0 0 1 ${point(to, b)} L${point(INNER, b)} A${INNER} ${INNER} 0 0 0 ${point(INNER, a)}Z`;
}

const reach = (us) => INNER + (OUTER - INNER) * Math.max(0, Math.min(1, Math.log10(Math.max(1, us)) / DECADES));

export class Ring {
  constructor() {
    Object.assign(this, { turns: [], told: null, step: 0, timer: 0, isSlow: false, rate: null, lastTold: -1 });
    this.places = PARTS.map((part, at) => {
      const bar = svg('path', { class: at === 0 ? 'bar waits' : 'bar' });
      const middle = angle(at + 0.5), side = Math.sin(middle);
      const anchor = Math.abs(side) < 0.2 ? 'middle' : side > 0 ? 'start' : 'end';
      const [x, y] = point(LABEL, middle).split(' ').map(Number);
      const lift = at === 0 ? -12 : Math.cos(middle) < -0.8 ? 8 : 0;
      const time = svg('text', { class: 'us', x, y: y + 16 + lift, 'text-anchor': anchor });
      const group = svg('g', {}, svg('path', { class: 'track', d: arc(at, OUTER) }), bar,
        svg('text', { x, y: y + lift, 'text-anchor': anchor }, part.name), time);
      const mean = element('span', { class: 'us' });
      const row = element('li', {}, element('b', {}, part.name), element('span', { class: 'does' }, part.does), mean);
      return { bar, time, group, row, mean };
    });
    this.dot = svg('circle', { class: 'dot', r: 5, visibility: 'hidden' });
    this.middle = svg('text', { class: 'middle', x: CENTRE[0], y: CENTRE[1] + 2, 'text-anchor': 'middle' });
    this.below = svg('text', { class: 'us', x: CENTRE[0], y: CENTRE[1] + 19, 'text-anchor': 'middle' });
    const millisecond = svg('circle', { class: 'ms', cx: CENTRE[0], cy: CENTRE[1], r: reach(1000) });
    by('ring').replaceChildren(...this.places.map(({ group }) => group), millisecond, this.dot, this.middle, this.below);
    by('parts').replaceChildren(...this.places.map(({ row }) => row));
    by('slow').addEventListener('click', () => this.setSlow(!this.isSlow));
    by('next-turn').addEventListener('click', () => this.tellNext(false));
    by('mean').addEventListener('click', () => this.setSlow(false));
    this.show(null);
  }

  add(turns) {
    this.turns.push(...turns);
    if (this.turns.length > KEPT) this.turns.splice(0, this.turns.length - KEPT);
    if (this.told === null) this.show(this.mean());
    if (this.isSlow && this.told === null) this.tellNext(true);
  }

  forget() {
    this.turns = [];
  }

  mean() {
    const { turns } = this;
    const mean = { events: turns.reduce((sum, turn) => sum + turn.events, 0) / turns.length };
    for (const { field } of PARTS) mean[field] = turns.reduce((sum, turn) => sum + (turn[field] ?? 0), 0) / turns.length;
    return mean;
  }

  /** Shows a turn, or the mean of some; null if there was none yet. */
  show(turn) {
    this.places.forEach(({ bar, time, mean }, at) => {
      const us = turn?.[PARTS[at].field] ?? 0;
      bar.setAttribute('d', us < 1 ? '' : arc(at, Math.max(INNER + 2, reach(us))));
      const text = turn === null ? '' : us < 0.5 ? '–' : duration(us / 1000);
      say(time, text);
      say(mean, text);
    });
    say(this.middle, turn === null ? '' : duration(workOf(turn) / 1000));
    say(this.below, turn === null ? 'no turn yet' : 'of work');
    if (this.told !== null) return;
    const scale = 'Bars are logarithmic: the inner edge is 1\u202fµs, the dashed ring 1\u202fms, the outer edge 1\u202fs.';
    const rate = this.rate === null ? '' : this.rate < 10 ? ` ${Number(this.rate.toFixed(1))} turns a second.` : ` ${number(this.rate)} turns a second.`;
    const wait = turn && turn.wait_us + workOf(turn);
    const share = wait ? ` ${(100 * turn.wait_us / wait).toFixed(turn.wait_us / wait > 0.99 ? 2 : 1)}\u202f% of its time the loop waits.` : '';
    say(by('ring-told'), turn === null ? scale : `The mean of the last ${this.turns.length} turns.${rate}${share} ${scale}`);
  }

  setSlow(on) {
    this.isSlow = on;
    by('slow').setAttribute('aria-pressed', String(on));
    clearTimeout(this.timer);
    if (on) this.tellNext(true);
    else this.end();
  }

  /** Back to the mean. */
  end() {
    clearTimeout(this.timer);
    this.told = null;
    if (document.activeElement === by('mean')) by('slow').focus(); // the focus does not vanish with the button
    by('told').hidden = by('mean').hidden = true;
    this.dot.setAttribute('visibility', 'hidden');
    this.light(-1);
    if (this.turns.length) this.show(this.mean());
  }

  /** Takes the busiest of the last turns that was not told yet, so that there is something to tell. */
  tellNext(isMoving) {
    clearTimeout(this.timer);
    const fresh = this.turns.filter((turn) => turn.n > this.lastTold);
    if (!fresh.length && !this.turns.length) return;
    if (!fresh.length) {
      if (isMoving) this.timer = setTimeout(() => this.tellNext(true), 500);
      return;
    }
    this.told = fresh.slice(-16).reduce((best, turn) => (workOf(turn) > workOf(best) ? turn : best));
    this.lastTold = this.turns.at(-1).n;
    this.lines = turnSentences(this.told).map((line) => ({ ...line, row: element('li', {}, line.sentence) }));
    say(by('told-title'), `Turn ${number(this.told.n)}`);
    by('sentences').replaceChildren(...this.lines.map(({ row }) => row));
    by('told').hidden = by('mean').hidden = false;
    say(by('ring-told'), `Turn ${number(this.told.n)} alone.`);
    this.show(this.told);
    const isStill = !isMoving || matchMedia('(prefers-reduced-motion: reduce)').matches;
    if (!isMoving) say(by('said'), this.lines.map(({ sentence }) => sentence).join(' '));
    this.step = isStill ? this.lines.length - 1 : 0;
    this.tell(isMoving);
  }

  tell(isMoving) {
    this.lines.forEach(({ row }, at) => {
      row.classList.toggle('told-already', at < this.step || !isMoving);
      row.classList.toggle('now', at === this.step && isMoving);
    });
    this.light(isMoving ? this.lines[this.step].part : -1);
    if (!isMoving) return;
    this.timer = setTimeout(() => {
      this.step++;
      if (this.step < this.lines.length) this.tell(true);
      else this.tellNext(true);
    }, this.step === this.lines.length - 1 ? 2.5 * STEP : STEP);
  }

  /** Lights the place of a part; -1 for none. */
  light(part) {
    this.places.forEach(({ group, row }, at) => {
      group.classList.toggle('now', at === part);
      row.classList.toggle('now', at === part);
    });
    this.dot.setAttribute('visibility', part < 0 ? 'hidden' : 'visible');
    if (part < 0) return;
    const [x, y] = point(OUTER + 2, angle(part + 0.5)).split(' ');
    this.dot.setAttribute('cx', x);
    this.dot.setAttribute('cy', y);
  }
}

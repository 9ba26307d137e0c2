// The legend: the deadline drawn to scale, its parts in the colours and shapes of the cells, and how many peers are in each.

import { element, by, say } from './dom.mjs';
import { ASKED, CALM, CLASSES, DANGER, FIRST_ASKED, FIRST_DANGER, FIRST_DEAD, FIRST_LEFT, classOf } from './silence.mjs';
import { drawCell, inks } from './sprites.mjs';
import { number, seconds } from './words.mjs';

const CELL = 14; // a cell of the legend, in pixels of the page

export class Legend {
  constructor() {
    this.counts = [];
    by('legend').replaceChildren(
      ...CLASSES.map((one, at) => {
        const count = element('b', {}, '0'), range = element('span', { class: 'range' }), strip = element('canvas', { 'aria-hidden': 'true' });
        this.counts.push({ count, range, strip });
        return element('li', { class: at >= 3 ? 'gone' : 'there' }, element('span', { class: 'title' }, one.title, ' ', count), strip, range);
      }),
    );
    new ResizeObserver(() => this.draw()).observe(by('legend'));
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.draw());
  }

  /** Another deadline. */
  set(at) {
    const parts = [at.asked, at.danger - at.asked, at.deadline - at.danger];
    this.counts.forEach(({ strip }, one) => one < 3 && (strip.parentNode.style.flexGrow = Math.max(0.2, parts[one] / at.deadline)));
    const ranges = [
      `silent up to ${seconds(at.asked)}`,
      `from ${seconds(at.asked)}, probes unanswered`,
      `${seconds(at.danger)} to ${seconds(at.deadline)}`,
      'by the deadline',
      'or let go',
    ];
    ranges.forEach((text, one) => say(this.counts[one].range, text));
    this.draw();
  }

  draw() {
    const ink = inks(), ratio = devicePixelRatio || 1, size = Math.round(CELL * ratio);
    const spans = [[0, CALM], [FIRST_ASKED, ASKED], [FIRST_DANGER, DANGER], [FIRST_DEAD, 1], [FIRST_LEFT, 1]];
    this.counts.forEach(({ strip }, one) => {
      const [first, levels] = spans[one];
      const cells = one < 3 ? Math.max(levels, Math.floor(strip.parentNode.clientWidth / CELL)) : 1;
      strip.width = cells * size;
      strip.height = size;
      strip.style.width = `${(cells * size) / ratio}px`;
      const pen = strip.getContext('2d');
      for (let cell = 0; cell < cells; cell++) {
        pen.setTransform(1, 0, 0, 1, cell * size, 0);
        drawCell(pen, first + Math.floor((cell * levels) / cells), size, ink);
      }
    });
  }

  /** How many cells have each level. */
  tell(levels) {
    const sums = CLASSES.map(() => 0);
    for (let level = 0; level < levels.length - 1; level++) sums[classOf(level)] += levels[level];
    sums.forEach((sum, one) => say(this.counts[one].count, number(sum)));
    return sums;
  }
}

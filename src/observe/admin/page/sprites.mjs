// What a cell looks like at each level: drawn once for a size and a theme, then only copied.
//
// Each class has a shape of its own, so that it can be told without colours: calm cells are small, those that were asked are
// rings, those in danger are large and full, with a bar where there is room for one; a dead peer is a cross, one that left
// an outline.

import { ASKED, CALM, DANGER, EMPTY, FADING, FIRST_ASKED, FIRST_DANGER, FIRST_DEAD, FIRST_LEFT } from './silence.mjs';

/** The colours of the page's theme. */
export function inks() {
  const style = getComputedStyle(document.documentElement);
  const ink = (name) => style.getPropertyValue('--' + name).trim();
  return Object.fromEntries(
    ['card', 'calm-from', 'calm-to', 'asked-from', 'asked-to', 'danger-from', 'danger-to', 'dead', 'left'].map((name) => [name, ink(name)]),
  );
}

const parse = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

function between(from, to, share) {
  const [a, b] = [parse(from), parse(to)];
  return `rgb(${a.map((one, at) => Math.round(one + (b[at] - one) * share)).join()})`;
}

/** Draws one cell of `size` pixels at (0, 0). */
export function drawCell(pen, level, size, ink) {
  pen.fillStyle = ink.card;
  pen.fillRect(0, 0, size, size);
  if (level === EMPTY) return;
  const share = (first, count) => (count > 1 ? (level - first) / (count - 1) : 0);
  const square = (gap, colour) => {
    pen.fillStyle = colour;
    const side = size - gap, radius = side >= 9 ? side * 0.18 : side >= 6 ? 1 : 0;
    pen.beginPath();
    pen.roundRect(Math.floor(gap / 2), Math.floor(gap / 2), side, side, radius);
    pen.fill();
  };
  const gap = Math.max(1, Math.round(size * 0.1));
  const small = Math.max(gap + 1, Math.round(size * 0.26));
  const middle = (wide, high) => {
    const side = size - gap, at = Math.floor(gap / 2);
    pen.fillStyle = ink.card;
    pen.fillRect(at + Math.round((side - wide) / 2), at + Math.round((side - high) / 2), wide, high);
  };
  if (level < FIRST_ASKED) {
    square(small, between(ink['calm-from'], ink['calm-to'], share(0, CALM)));
  } else if (level < FIRST_DANGER) {
    square(gap, between(ink['asked-from'], ink['asked-to'], share(FIRST_ASKED, ASKED)));
    const side = size - gap, hole = Math.max(1, Math.round(side * 0.4) - ((side - Math.round(side * 0.4)) % 2));
    middle(hole, hole);
  } else if (level < FIRST_DEAD) {
    square(gap, between(ink['danger-from'], ink['danger-to'], share(FIRST_DANGER, DANGER)));
    if (size >= 9) {
      const side = size - gap, high = Math.max(2, Math.round(side * 0.18));
      middle(Math.round(side * 0.6), high + ((side - high) % 2));
    }
  } else {
    const isDead = level < FIRST_LEFT;
    const faded = share(isDead ? FIRST_DEAD : FIRST_LEFT, FADING) * 0.75;
    pen.strokeStyle = between(isDead ? ink.dead : ink.left, ink.card, faded);
    pen.lineWidth = Math.max(1, size * (isDead ? 0.16 : 0.1));
    pen.lineCap = size >= 9 ? 'round' : 'butt';
    const from = size * 0.22, to = size - gap / 2 - size * 0.22;
    pen.beginPath();
    if (isDead) {
      pen.moveTo(from, from), pen.lineTo(to, to), pen.moveTo(to, from), pen.lineTo(from, to);
    } else {
      pen.rect(from, from, to - from, to - from);
    }
    pen.stroke();
  }
}

/** All sprites of a size: pixels, one level after the other. */
export function sprites(size, ink) {
  const sheet = new OffscreenCanvas(size, size * (EMPTY + 1));
  const pen = sheet.getContext('2d', { willReadFrequently: true });
  for (let level = 0; level <= EMPTY; level++) {
    pen.setTransform(1, 0, 0, 1, 0, level * size);
    pen.save();
    pen.beginPath();
    pen.rect(0, 0, size, size);
    pen.clip();
    drawCell(pen, level, size, ink);
    pen.restore();
  }
  return new Uint32Array(pen.getImageData(0, 0, size, size * (EMPTY + 1)).data.buffer);
}

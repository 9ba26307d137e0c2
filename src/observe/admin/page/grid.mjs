// The grid: a canvas on which every peer is a cell, and one widget for mouse, touch and keyboard.
//
// Owns the drawing, the cursor and what is under the mouse. A frame looks at the level of every cell and draws only those
// that have changed: their pixels are copied from sprites, and the rows that changed are put on the canvas. Who is
// there belongs to the crowd; what a cell's story says, to others.

import { by, say } from './dom.mjs';
import { cellAt, layout, step, suits } from './layout.mjs';
import { inks, sprites } from './sprites.mjs';

const AGEING = 250; // colours grow older so often, in milliseconds
const SOON = 60; // what has just happened is drawn at most so much later

const UNDRAWN = 255;

export class Grid {
  /** `on`: {pointed(peer), left(), moved(peer), chosen(peer), closed(), counted(counts)}; `now()` is the server's clock. */
  constructor(crowd, now, on) {
    Object.assign(this, { crowd, now, on, at: null, place: null, levels: new Uint8Array(0), drawn: new Uint8Array(0) });
    this.frame = by('grid');
    this.canvas = by('cells');
    this.pen = this.canvas.getContext('2d', { alpha: false });
    this.cursor = null; // the peer that the keyboard is on
    this.last = -1; // its cell, from which the keyboard goes on when that peer has gone
    this.chosen = null; // the peer whose story is open
    this.pointed = null;
    this.arrangement = -1;
    this.timer = 0;
    this.isWanted = false;
    this.slowest = 0; // the longest frame, in milliseconds: the tests look at it
    new ResizeObserver(() => this.refresh()).observe(this.frame);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.restyle());
    this.frame.addEventListener('pointermove', (event) => event.pointerType !== 'touch' && this.point(event));
    this.frame.addEventListener('pointerleave', () => this.unpoint());
    this.frame.addEventListener('click', (event) => this.click(event));
    this.frame.addEventListener('keydown', (event) => this.key(event));
    this.frame.addEventListener('focus', () => this.focused());
    this.frame.addEventListener('blur', () => this.on.left());
  }

  /** Another theme: every sprite is another. */
  restyle() {
    this.place = null;
    this.refresh();
  }

  /** Something has happened that should be seen at once. */
  refresh() {
    if (this.isWanted) return;
    this.isWanted = true;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => requestAnimationFrame(() => this.draw()), SOON);
  }

  draw() {
    const began = performance.now();
    this.isWanted = false;
    clearTimeout(this.timer);
    if (!document.hidden) this.timer = setTimeout(() => requestAnimationFrame(() => this.draw()), AGEING);
    if (!this.at) return;
    const { crowd } = this;
    if (this.levels.length < crowd.cells.length) this.levels = new Uint8Array(Math.ceil(crowd.cells.length * 1.25) + 64);
    const counts = crowd.age(this.now(), this.at, this.levels);
    this.lay();
    if (this.arrangement !== crowd.arrangement) {
      this.arrangement = crowd.arrangement;
      this.drawn.fill(UNDRAWN);
    }
    this.paint();
    this.mark();
    if (this.pointed && this.pointed.cell < 0) this.unpoint();
    this.on.counted(counts);
    this.took = performance.now() - began;
    this.slowest = Math.max(this.slowest, this.took);
  }

  /** Lays the cells out anew if they do not fit any more. */
  lay() {
    const width = this.frame.clientWidth;
    const height = Math.round(Math.max(200, Math.min(innerHeight * 0.52, 560)));
    const ratio = Math.min(3, devicePixelRatio || 1);
    const count = this.crowd.cells.length;
    if (suits(this.place, count, width, height, ratio)) return;
    const place = layout(count, width, height, ratio);
    const device = place.device;
    if (this.place?.device !== device) this.sprites = sprites(device, (this.inks = inks()));
    this.place = place;
    const [wide, high] = [place.columns * device, place.rows * device];
    this.canvas.width = wide;
    this.canvas.height = high;
    this.canvas.style.width = `${wide / ratio}px`;
    this.canvas.style.height = `${high / ratio}px`;
    this.image = new ImageData(wide, high);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.drawn = new Uint8Array(place.capacity).fill(UNDRAWN);
  }

  /** Copies the sprites of the cells that have changed, and puts their rows on the canvas. */
  paint() {
    const { place, drawn, levels, pixels, sprites: sheet, crowd } = this;
    const { columns, rows, device } = place;
    const wide = columns * device, area = device * device;
    const count = crowd.cells.length, empty = sheet.length / area - 1;
    let top = -1, bottom = -1;
    for (let row = 0, cell = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++, cell++) {
        const level = cell < count ? levels[cell] : empty;
        if (drawn[cell] === level) continue;
        drawn[cell] = level;
        let from = level * area, to = row * device * wide + column * device;
        for (let line = 0; line < device; line++, to += wide - device) {
          for (let dot = 0; dot < device; dot++) pixels[to++] = sheet[from++];
        }
        if (top < 0) top = row;
        bottom = row;
      }
    }
    if (top >= 0) this.pen.putImageData(this.image, 0, 0, 0, top * device, wide, (bottom - top + 1) * device);
  }

  /** Puts the frames of the cursor and of the chosen peer where their cells are. */
  mark() {
    if (this.cursor && this.cursor.cell >= 0) this.last = this.cursor.cell;
    for (const [what, peer] of [['cursor', this.cursor], ['chosen', this.chosen]]) {
      const box = by(what);
      box.hidden = !peer || peer.cell < 0;
      if (box.hidden) continue;
      const { pitch, columns } = this.place;
      const size = Math.max(pitch + 3, 10), shift = (pitch - size) / 2 - 0.5;
      box.style.width = box.style.height = `${size}px`;
      box.style.transform = `translate(${(peer.cell % columns) * pitch + shift}px, ${Math.floor(peer.cell / columns) * pitch + shift}px)`;
    }
  }

  /** Where a peer's cell is on the screen. */
  rectangle(peer) {
    const { pitch, columns } = this.place;
    const box = this.canvas.getBoundingClientRect();
    return new DOMRect(box.left + (peer.cell % columns) * pitch, box.top + Math.floor(peer.cell / columns) * pitch, pitch, pitch);
  }

  under(event) {
    if (!this.place) return null;
    const box = this.canvas.getBoundingClientRect();
    const cell = cellAt(this.place, event.clientX - box.left, event.clientY - box.top);
    return (cell >= 0 && this.crowd.cells[cell]) || null;
  }

  point(event) {
    const peer = this.under(event);
    if (peer === this.pointed) return;
    this.pointed = peer;
    if (peer) this.on.pointed(peer);
    else this.on.left();
  }

  unpoint() {
    this.pointed = null;
    this.on.left();
  }

  click(event) {
    const peer = this.under(event);
    if (!peer) return;
    this.cursor = peer;
    this.mark();
    this.on.chosen(peer, false);
  }

  /** The keyboard has come to the grid, and not a click. */
  focused() {
    if (!this.frame.matches(':focus-visible')) return;
    if (this.cursor && this.cursor.cell >= 0) return this.on.moved(this.cursor);
    this.go('Home', -1);
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      if (this.cursor) this.on.chosen(this.cursor, true);
    } else if (event.key === 'Escape') {
      this.on.closed();
    } else if (this.go(event.key, this.last)) {
      event.preventDefault();
    }
  }

  /** Moves the cursor as a key says; false if it is no key of ours. */
  go(key, from) {
    if (!this.place) return false;
    const { cells } = this.crowd;
    const to = step(key, from, this.place, (cell) => cells[cell] !== null, cells.length);
    if (to === null) return false;
    if (to < 0 || !cells[to]) return true;
    this.cursor = cells[to];
    this.mark();
    by('cursor').scrollIntoView({ block: 'nearest' });
    this.on.moved(this.cursor);
    return true;
  }

  /** What the grid says when nobody is on it; null for nothing. */
  empty(text) {
    by('empty').hidden = text === null;
    say(by('empty'), text ?? '');
  }
}

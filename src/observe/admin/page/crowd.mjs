// Who is there: the peers as sweeps and news tell of them, and which cell of the grid each one has.
//
// Invariants: a peer keeps its cell for as long as it is there, and for a while after it has gone, so that nothing jumps
// under somebody's eyes. An id is never used again: who has gone does not come back by a slice that was under way. Knows no
// document and no clock: moments are the server's, in milliseconds since the epoch.

import { EMPTY, goneLevel, level } from './silence.mjs';
import { groupOf } from './words.mjs';

/** How many of those that have gone are remembered by id, for the story behind a link. */
const REMEMBERED = 2000;

export class Crowd {
  constructor() {
    this.filter = null;
    this.matching = 0; // of those that are there, how many the filter lets through
    this.forget();
  }

  /** All that is known is dropped: a new server, or the same one after a pause. */
  forget() {
    this.peers = new Map();
    this.gone = new Map(); // id → the peer with its departure; the oldest first
    this.pending = null; // ids that the full sweep under way has told of
    this.isComplete = false;
    this.arrange();
  }

  /** A slice of a sweep. A full one replaces everything that is known, once its last slice is here. */
  slice({ full, last, peers }) {
    if (full) {
      this.pending ??= new Set();
      for (const [id, address, heard, probes, waiting] of peers) {
        this.pending.add(id);
        if (!this.gone.has(id)) this.see(id, address, heard, probes, waiting);
      }
    } else {
      for (const [id, heard, probes, waiting] of peers) {
        const peer = this.peers.get(id);
        if (peer) Object.assign(peer, { heard: heard ?? peer.heard, probes: probes ?? 0, waiting: waiting ?? 0 });
      }
    }
    if (full && last) {
      for (const peer of this.peers.values()) if (!this.pending.has(peer.id)) this.remove(peer);
      this.pending = null;
      this.isComplete = true;
    }
  }

  see(id, address, heard, probes, waiting) {
    const known = this.peers.get(id);
    if (known) {
      Object.assign(known, { heard: heard ?? known.heard, probes: probes ?? 0, waiting: waiting ?? 0 });
      return;
    }
    const peer = { id, address: String(address), heard: heard ?? 0, probes: probes ?? 0, waiting: waiting ?? 0, cell: -1, departure: null, goneAt: 0 };
    this.peers.set(id, peer);
    if (!this.filter || this.filter.test(peer.address)) {
      this.matching++;
      this.place(peer);
    }
  }

  /** An arrival or a departure, or that some were left out; other news change nobody. `at` is the moment of the event. */
  news(event, at) {
    // A full sweep follows from its beginning; what the one under way has told of may have gone among what was left out.
    if (event.event === 'left_out') this.pending = null;
    if (event.event === 'arrival') {
      this.pending?.add(event.id);
      if (!this.gone.has(event.id)) this.see(event.id, event.peer, at, 0, 0);
    } else if (event.event === 'departure') {
      const peer = this.peers.get(event.id) ?? { id: event.id, address: String(event.peer), heard: at, probes: 0, waiting: 0, cell: -1 };
      const wasThere = this.peers.delete(event.id);
      const isDead = groupOf(event.reason) === 'dead';
      // The kernel may have forgotten it by then; but who is found dead gave no sign of life after the last that was told of.
      if (isDead && wasThere && event.silent_ms == null) event.silent_ms = Math.max(0, at - peer.heard);
      if (wasThere && (!this.filter || this.filter.test(peer.address))) this.matching--;
      Object.assign(peer, { departure: event, goneAt: at, isDead });
      this.gone.set(event.id, peer);
      if (this.gone.size > REMEMBERED) {
        for (const [id, old] of this.gone) {
          if (this.gone.size <= REMEMBERED) break;
          if (old.cell < 0) this.gone.delete(id);
          else break;
        }
      }
    }
  }

  find(id) {
    return this.peers.get(id) ?? this.gone.get(id) ?? null;
  }

  /** Sets which addresses have a cell; null for all. Everybody gets a new cell. */
  setFilter(filter) {
    this.filter = filter;
    this.arrange();
  }

  /** Gives cells anew, in the order of arrival and without gaps. */
  arrange() {
    this.cells = [];
    this.free = 0; // how many cells are, apart from those behind the last
    this.lowest = 0; // no cell below is free
    this.matching = 0;
    this.arrangement = (this.arrangement ?? 0) + 1;
    for (const peer of this.gone.values()) peer.cell = -1;
    for (const peer of this.peers.values()) {
      peer.cell = -1;
      if (this.filter && !this.filter.test(peer.address)) continue;
      this.matching++;
      this.place(peer);
    }
  }

  place(peer) {
    const { cells } = this;
    while (this.lowest < cells.length && cells[this.lowest] !== null) this.lowest++;
    if (this.lowest < cells.length) this.free--;
    peer.cell = this.lowest++;
    cells[peer.cell] = peer;
  }

  /** Takes away one that was not told of any more. No departure was seen, so there is none to show. */
  remove(peer) {
    this.peers.delete(peer.id);
    if (peer.cell >= 0) {
      this.matching--;
      this.vacate(peer);
    }
  }

  vacate(peer) {
    this.cells[peer.cell] = null;
    this.free++;
    this.lowest = Math.min(this.lowest, peer.cell);
    peer.cell = -1;
  }

  /**
   * Looks at every cell: writes its level to `levels` and returns how many there are of each. Cells of those that went
   * long ago come free. If most cells are free, the rest move together.
   */
  age(now, at, levels) {
    const counts = new Array(EMPTY + 1).fill(0);
    const { cells } = this;
    for (let cell = 0; cell < cells.length; cell++) {
      const peer = cells[cell];
      let one = EMPTY;
      if (peer !== null) {
        one = peer.departure ? goneLevel(now - peer.goneAt, peer.isDead) : level(now - peer.heard, peer.probes, at);
        if (one === EMPTY) this.vacate(peer);
      }
      levels[cell] = one;
      counts[one]++;
    }
    while (cells.length && cells[cells.length - 1] === null) {
      cells.pop();
      this.free--;
    }
    this.lowest = Math.min(this.lowest, cells.length);
    if (cells.length > 64 && this.free > cells.length / 2 && this.matching === cells.length - this.free) {
      this.arrange(); // and nobody's departure is shown just now
      return this.age(now, at, levels);
    }
    return counts;
  }

  /** Those that have been silent longest, with a cell; the most silent first. */
  quietest(most) {
    const found = [];
    for (const peer of this.cells) {
      if (!peer || peer.departure) continue;
      if (found.length === most && peer.heard >= found[most - 1].heard) continue;
      let place = found.length;
      while (place > 0 && found[place - 1].heard > peer.heard) place--;
      found.splice(place, 0, peer);
      if (found.length > most) found.pop();
    }
    return found;
  }
}

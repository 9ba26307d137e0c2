// Arrivals and departures over time, and the histogram of detection latency, from the figures of each second.
//
// The server tells totals. Owns the differences, and the gaps: of a time in which the page did not listen, only the totals
// are known, and no bar is drawn for it. Knows no document.

import { GROUPS, groupOf } from './words.mjs';

export class History {
  /** Bars of so many milliseconds, so many of them. */
  constructor(width = 3000, most = 100) {
    Object.assign(this, { width, most });
    this.forget();
  }

  forget() {
    this.last = null;
    this.bars = []; // the oldest first: {at, arrivals, departures: {group: n}, seen}
  }

  /** The stream broke off: the next figures only tell where to go on from. */
  pause() {
    this.last = null;
  }

  add(figures) {
    const { last, width } = this;
    // A smaller total is another server, or a counter that began anew.
    const grown = (now, before) => (now >= before ? now - before : 0);
    const bar = this.barAt(Math.floor(figures.at / width) * width);
    if (last) {
      bar.seen = true;
      bar.arrivals += grown(figures.arrivals, last.arrivals);
      for (const [reason, total] of Object.entries(figures.departures ?? {})) {
        const more = grown(total, last.departures?.[reason] ?? 0);
        if (more) bar.departures[groupOf(reason)] = (bar.departures[groupOf(reason)] ?? 0) + more;
      }
    }
    this.last = figures;
  }

  barAt(at) {
    const { bars, width, most } = this;
    let newest = bars.at(-1);
    if (!newest || at > newest.at + width * most) {
      bars.length = 0;
      newest = { at: at - width };
    }
    while (newest.at < at) {
      newest = { at: newest.at + width, arrivals: 0, departures: {}, seen: false };
      bars.push(newest);
    }
    if (bars.length > most) bars.splice(0, bars.length - most);
    return newest;
  }

  /** The largest number that is drawn upwards or downwards; at least 1. */
  peak() {
    return this.bars.reduce((most, bar) => Math.max(most, bar.arrivals, leavingIn(bar)), 1);
  }
}

/** All departures in a bar. */
export const leavingIn = (bar) => GROUPS.reduce((sum, { name }) => sum + (bar.departures[name] ?? 0), 0);

/** The next round number that is not smaller: the end of an axis. */
export function round(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, value)));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((one) => one * power).find((one) => one >= value);
}

/**
 * The buckets of a histogram that are worth a bar: from the first to the last that is not empty, and those around the deadline.
 * Each {from, to (Infinity for the last), count, isLate: it begins at the deadline or beyond}.
 */
export function buckets(detection, deadline) {
  const { le, counts } = detection;
  const all = counts.map((count, at) => {
    const from = at === 0 ? 0 : le[at - 1];
    return { from, to: at < le.length ? le[at] : Infinity, count, isLate: from >= deadline };
  });
  const around = all.findIndex((one) => one.to >= deadline);
  const filled = all.map((one, at) => (one.count ? at : -1)).filter((at) => at >= 0);
  const first = Math.max(0, Math.min(around - 3, ...filled));
  const last = Math.min(all.length - 1, Math.max(around + 2, ...filled));
  return all.slice(first, last + 1);
}

/** Where a share of all lies, read off the buckets, in seconds; null if there are none. Linear within a bucket. */
export function quantile(detection, share) {
  const wanted = detection.count * share;
  let sum = 0;
  for (let at = 0; at < detection.counts.length; at++) {
    const count = detection.counts[at];
    if (count && sum + count >= wanted) {
      const from = at === 0 ? 0 : detection.le[at - 1];
      return at < detection.le.length ? from + ((detection.le[at] - from) * (wanted - sum)) / count : from;
    }
    sum += count;
  }
  return null;
}

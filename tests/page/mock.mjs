// A server that is none: it speaks as the admin port does (/watch, /events, /peers, DELETE), about peers that are made up. For the tests of the
// page, and to work at the page: `node tests/page/mock.mjs --peers 2000`, then open what it prints. Ctrl-C ends it.
//
// Its peers keep the deadline as real ones do: one that is cut off answers no probe, and departs when the deadline is over.

import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';

const SOURCES = new URL('../../src/observe/admin/page/', import.meta.url);
const TYPES = { html: 'text/html; charset=utf-8', css: 'text/css; charset=utf-8', mjs: 'text/javascript; charset=utf-8' };
const RULES = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const LE = [0.5, 1, 2, 5, 10, 15, 20, 25, 30, 32.5, 34, 35.5, 37, 40, 50, 60, 90, 120, 300];

export class Mock {
  /** `built`: {page: the gzip file that build.rs made, rules: its Content-Security-Policy}; without, the sources are served as they are. */
  constructor({ peers = 1000, deadline = 35000, idle = 5000, interval = 5000, lively = true, churn = 0, token = null, built = null, now = Date.now } = {}) {
    Object.assign(this, { deadline, idle, interval, lively, churn, token, built, now });
    Object.assign(this, { peers: new Map(), watchers: new Set(), sockets: new Set(), timers: [], number: 0, sequence: 0, turn: 0, sweep: 0 });
    Object.assign(this, { arrivals: 0, departures: {}, refusals: {}, received: 0, sent: 0, requests: [] });
    this.detection = { le: LE, counts: Array(LE.length + 1).fill(0), sum: 0, count: 0 };
    this.began = now();
    for (let one = 0; one < peers; one++) this.arrive();
  }

  arrive(address = null) {
    const n = this.number++;
    const peer = {
      number: n,
      id: `${(0x3f2a1c0000 + n * 257).toString(16)}-${(n % 4096).toString(16)}`,
      address: address ?? `10.${20 + (n % 7)}.${(n >> 5) & 255}.${1 + (n % 200)}:${30000 + (n % 30000)}`,
      connected: this.now(),
      heard: this.now() - Math.random() * this.idle,
      phase: 0.8 + Math.random() * 0.2,
      probes: 0, waiting: 0, isCut: false, told: -1, in: Math.floor(Math.random() * 5000), out: Math.floor(Math.random() * 90000), rtt: Math.floor(200 + Math.random() * 60000),
    };
    this.peers.set(peer.id, peer);
    this.arrivals++;
    this.news({ event: 'arrival', id: peer.id, peer: peer.address, local: '192.0.2.9:7007' });
    return peer;
  }

  /** The cable of some peers is cut: all packets are lost from now on. */
  cut(which) {
    let count = 0;
    for (const peer of this.peers.values()) if (!peer.isCut && which(peer)) (peer.isCut = true), count++;
    return count;
  }

  depart(peer, reason, more = {}) {
    this.peers.delete(peer.id);
    this.departures[reason] = (this.departures[reason] ?? 0) + 1;
    const silent = this.now() - peer.heard;
    if (['probes_unanswered', 'data_unacknowledged', 'window_shut', 'unreachable', 'unresponsive'].includes(reason)) {
      const at = LE.findIndex((le) => silent / 1000 <= le);
      this.detection.counts[at < 0 ? LE.length : at]++;
      this.detection.sum += silent / 1000;
      this.detection.count++;
    }
    this.news({
      event: 'departure', id: peer.id, peer: peer.address, local: '192.0.2.9:7007', reason, service_reason: null, errno: reason === 'reset' ? 'ECONNRESET' : null,
      connected_ms: this.now() - peer.connected, silent_ms: Math.round(silent), bytes_in: peer.in, bytes_out: peer.out, bytes_unacknowledged: 0, round_trip_us: peer.rtt, retransmissions: 0, ...more,
    });
  }

  news(event) {
    this.tell('news', { ...event, seq: ++this.sequence, time: new Date(this.now()).toISOString() });
  }

  tell(event, data) {
    const text = `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
    for (const watcher of this.watchers) watcher.write(text);
  }

  /** What happens in a tenth of a second. */
  live() {
    const now = this.now();
    for (const peer of this.peers.values()) {
      const silent = now - peer.heard;
      if (peer.isCut) {
        peer.probes = silent < this.idle ? 0 : 1 + Math.floor((silent - this.idle) / this.interval);
        if (silent >= this.deadline) this.depart(peer, peer.end ?? 'probes_unanswered');
      } else if (silent >= this.idle * peer.phase || (this.lively && Math.random() < 0.004)) {
        peer.heard = now;
        peer.in += 64;
        this.received += 64;
      }
    }
    for (let due = this.churn / 10; due > 0; due--) {
      if (due < 1 && Math.random() > due) break;
      if (Math.random() < 0.52) this.arrive();
      else {
        const all = [...this.peers.values()], peer = all[Math.floor(Math.random() * all.length)];
        const draw = Math.random();
        if (peer && !peer.isCut) this.depart(peer, draw < 0.72 ? 'closed' : draw < 0.86 ? 'reset' : draw < 0.93 ? 'by_service' : draw < 0.97 ? 'stalled' : 'evicted');
      }
    }
  }

  /** Slices of a sweep. */
  look(full, to) {
    const entries = [];
    for (const peer of this.peers.values()) {
      if (full) entries.push([peer.id, peer.address, Math.round(peer.heard), peer.probes, peer.waiting]);
      else if (peer.told !== peer.heard + peer.probes) entries.push([peer.id, Math.round(peer.heard), peer.probes, peer.waiting]);
      if (!full) peer.told = peer.heard + peer.probes;
    }
    for (let at = 0; at === 0 || at < entries.length; at += 500) {
      to('peers', { sweep: this.sweep, full, last: at + 500 >= entries.length, peers: entries.slice(at, at + 500) });
    }
    this.sweep++;
  }

  figures() {
    return {
      at: this.now(), peers: this.peers.size, limit: 19990, arrivals: this.arrivals, departures: this.departures, refusals: this.refusals, received_bytes: this.received,
      sent_bytes: this.sent, turns: this.turn, detection: this.detection, outbox_bytes: 0, late: 0,
    };
  }

  turns() {
    const scattered = (mean) => Math.round(mean * (0.5 + Math.random()));
    return Array.from({ length: 8 }, () => {
      const events = 1 + Math.floor(Math.random() * 5), rare = Math.random();
      return {
        n: ++this.turn, wait_us: scattered(31000), latch_us: scattered(2), drive_us: scattered(14 * events), accept_us: rare < 0.4 ? scattered(38) : 0,
        expire_us: rare > 0.5 ? scattered(6) : 0, carry_out_us: rare > 0.9 ? scattered(50) : 0, reap_us: rare < 0.3 ? scattered(22) : 0, events,
      };
    });
  }

  async start(port = 0) {
    this.server = createServer((request, answer) => this.answer(request, answer));
    this.server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
    await new Promise((done) => this.server.listen(port, '127.0.0.1', done));
    this.port = this.server.address().port;
    this.timers = [
      setInterval(() => this.live(), 100),
      setInterval(() => this.look(false, (event, data) => this.tell(event, data)), 1000),
      setInterval(() => this.tell('figures', this.figures()), 1000),
      setInterval(() => this.tell('turns', { turns: this.turns() }), 250),
    ];
    return `http://127.0.0.1:${this.port}/`;
  }

  /** The server goes, as a process that is killed. Its peers are kept for `start`, which may be given the same port. */
  async stop() {
    this.timers.forEach(clearInterval);
    const closed = new Promise((done) => this.server.close(done));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  answer(request, answer) {
    const path = new URL(request.url, 'http://mock').pathname;
    this.requests.push(`${request.method} ${path}`);
    const json = (code, value) => answer.writeHead(code, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' }).end(JSON.stringify(value));
    if (path === '/' || /^\/[a-z]+\.(mjs|css)$/.test(path)) return this.page(path, answer);
    if (this.token && request.headers.authorization !== `Bearer ${this.token}`) {
      answer.setHeader('WWW-Authenticate', 'Bearer');
      return json(401, { error: 'A token is needed.' });
    }
    if (path === '/watch' || path === '/events') {
      answer.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
      const to = (event, data) => answer.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
      to('hello', { version: '0.1.0', time: this.now(), deadline_ms: this.deadline, idle_ms: this.idle, interval_ms: this.interval, count: 6, listen: ['192.0.2.9:7007'], limit: 19990, pace_ms: 1000 });
      this.look(true, to);
      to('figures', this.figures());
      this.watchers.add(answer);
      return void answer.on('close', () => this.watchers.delete(answer));
    }
    const peer = path.startsWith('/peers/') && this.peers.get(decodeURIComponent(path.slice(7)));
    if (!peer) return json(404, { error: 'This peer is not there.' });
    if (request.method === 'DELETE') {
      this.depart(peer, 'by_service');
      return json(202, { id: peer.id });
    }
    const silent = Math.round(this.now() - peer.heard);
    return json(200, {
      id: peer.id, peer: peer.address, local: '192.0.2.9:7007', connected_ms: this.now() - peer.connected, silent_ms: silent, probes: peer.probes, waiting: peer.waiting,
      bytes_in: peer.in, bytes_out: peer.out, bytes_unacknowledged: 0, round_trip_us: peer.rtt, retransmissions: 0, deadline_ms: this.deadline, state: 'established', retransmits: 0,
      rto_us: 204000, not_sent: 0, window: 65536, pure_acks: 12, sent_ms: silent, received_ms: silent,
    });
  }

  page(path, answer) {
    const rules = this.built?.rules ?? RULES;
    const kept = { 'Content-Security-Policy': rules, 'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'no-referrer', 'Cache-Control': 'no-store' };
    if (this.built) {
      if (path !== '/') return answer.writeHead(404).end();
      return answer.writeHead(200, { ...kept, 'Content-Type': TYPES.html, 'Content-Encoding': 'gzip' }).end(this.built.page);
    }
    const file = path === '/' ? 'index.html' : path.slice(1);
    try {
      answer.writeHead(200, { ...kept, 'Content-Type': TYPES[file.split('.').at(-1)] }).end(readFileSync(new URL(file, SOURCES)));
    } catch {
      answer.writeHead(404).end();
    }
  }
}

/** The page as build.rs made it, from the directory that the test names. */
export function built(directory) {
  const read = (name) => readFileSync(`${directory}/${name}`);
  const page = read('page.html.gz');
  return { page, rules: read('page.csp').toString(), text: gunzipSync(page).toString() };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const option = (name, unset) => (process.argv.includes(name) ? process.argv[process.argv.indexOf(name) + 1] : unset);
  const mock = new Mock({ peers: Number(option('--peers', 2000)), churn: Number(option('--churn', 6)), deadline: Number(option('--deadline', 35)) * 1000 });
  // Every few seconds somebody's cable is cut.
  setInterval(() => mock.cut((peer) => Math.random() < 0.004), 4000);
  console.log(`open ${await mock.start(Number(option('--port', 7070)))}`);
}

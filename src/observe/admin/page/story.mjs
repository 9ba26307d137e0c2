// One peer's story: in a few words beside the mouse or the cursor, and in full in a panel of its own.
//
// Owns both, and the questions about a single peer. What the kernel knows of a peer is asked for (GET /peers/ID) only
// while somebody looks at it.

import { by, element, say } from './dom.mjs';
import { CLASSES, classOf, level } from './silence.mjs';
import { bytes, counted, departureSentence, duration, seconds } from './words.mjs';

const DWELL = 250; // the mouse has to rest for so long before the kernel is asked
const AGAIN = 1000; // an open story is told anew so often

const isNumber = (value) => typeof value === 'number';

/** The figures of a peer as rows: [title, text]. What the kernel does not tell has none. */
export function rowsOf(peer) {
  const ago = (ms) => (ms < 1000 ? 'just now' : `${duration(ms)} ago`);
  const rows = [
    ['Connected for', 'connected_ms', duration],
    ['State', 'state', String],
    ['Local address', 'local', String],
    ['Probes unanswered', 'probes', String],
    ['Data last received', 'received_ms', ago],
    ['Data last sent', 'sent_ms', ago],
    ['Received from it', 'bytes_in', bytes],
    ['Sent to it', 'bytes_out', bytes],
    ['Not acknowledged', 'bytes_unacknowledged', bytes],
    ['Waits in our outbox', 'waiting', bytes],
    ['Waits in the kernel', 'not_sent', bytes],
    ['Its window', 'window', bytes],
    ['Round-trip time', 'round_trip_us', (us) => duration(us / 1000)],
    ['Retransmission time-out', 'rto_us', (us) => duration(us / 1000)],
    ['Retransmissions', 'retransmissions', (count) => counted(count, 'segment')],
  ];
  return rows.filter(([, field]) => peer[field] !== null && peer[field] !== undefined && peer[field] !== '').map(([title, field, tell]) => [title, tell(peer[field])]);
}

export class Story {
  /** `ask(path, method)` answers like fetch; `now()` is the server's clock; `closed()` and `chosen(peer)` are told. */
  constructor(crowd, now, ask, on) {
    Object.assign(this, { crowd, now, ask, on, at: null, id: null, timer: 0, dwelling: 0, known: null, armed: 0 });
    by('story-close').addEventListener('click', () => this.close());
    by('story-drop').addEventListener('click', () => this.drop());
    addEventListener('scroll', () => by('tip').hidden || this.place(), { passive: true });
  }

  /** In one sentence, as it is known without asking. */
  sentence(peer) {
    if (peer.departure) return `gone: it ${departureSentence(peer.departure)}`;
    const silent = this.now() - peer.heard;
    const probes = peer.probes ? `, ${counted(peer.probes, 'probe')} unanswered` : '';
    const waiting = peer.waiting ? `, ${bytes(peer.waiting)} wait for it` : '';
    return `${this.classOf(peer)}, silent for ${duration(Math.max(0, Math.round(silent / 100) * 100))}${probes}${waiting}`;
  }

  classOf(peer) {
    if (peer.departure) return CLASSES[peer.isDead ? 3 : 4].title;
    return CLASSES[classOf(level(this.now() - peer.heard, peer.probes, this.at))].title;
  }

  /** Beside its cell, which may move when the page is scrolled: `box()` is where it lies. */
  hint(peer, box) {
    clearTimeout(this.dwelling);
    const tip = by('tip');
    this.place = () => {
      const { width, height } = tip.getBoundingClientRect(), cell = box();
      const x = Math.max(6, Math.min(innerWidth - width - 6, cell.left + cell.width / 2 - width / 2));
      const above = cell.top - height - 8;
      tip.style.transform = `translate(${x}px, ${above > 4 ? above : cell.bottom + 8}px)`;
    };
    this.hinted = peer;
    say(by('tip-address'), peer.address);
    say(by('tip-told'), this.sentence(peer));
    say(by('tip-more'), '');
    tip.hidden = false;
    this.place();
    if (peer.departure) return;
    this.dwelling = setTimeout(async () => {
      const { told } = await this.fetch(peer.id);
      if (tip.hidden || !told || this.hinted !== peer) return;
      const parts = [];
      if (isNumber(told.connected_ms)) parts.push(`connected for ${duration(told.connected_ms)}`);
      if (isNumber(told.round_trip_us)) parts.push(`round trip ${duration(told.round_trip_us / 1000)}`);
      if (isNumber(told.bytes_in) && isNumber(told.bytes_out)) parts.push(`${bytes(told.bytes_in)} in, ${bytes(told.bytes_out)} out`);
      say(by('tip-more'), parts.join(' · '));
      this.place();
    }, DWELL);
  }

  unhint() {
    clearTimeout(this.dwelling);
    by('tip').hidden = true;
  }

  async fetch(id) {
    try {
      const answer = await this.ask(`/peers/${encodeURIComponent(id)}`, 'GET');
      if (answer.ok) return { told: await answer.json() };
      return { told: null, isGone: answer.status === 404 };
    } catch {
      return { told: null };
    }
  }

  /** Opens the panel. `takesFocus` if the keyboard asked for it. */
  open(id, takesFocus) {
    this.unhint();
    if (this.id !== id) this.known = null;
    this.id = id;
    this.disarm();
    by('story').hidden = false;
    by('story-link').href = `#peer=${encodeURIComponent(id)}`;
    this.show();
    this.renew();
    if (takesFocus) by('story-title').focus();
  }

  close() {
    if (this.id === null) return;
    this.id = null;
    clearTimeout(this.timer);
    by('story').hidden = true;
    this.on.closed();
  }

  /** Asks the kernel anew, while the panel is open and the page is seen. */
  async renew() {
    clearTimeout(this.timer);
    const { id } = this;
    if (id === null || document.hidden) return;
    const peer = this.crowd.find(id);
    if (!peer?.departure) {
      const { told, isGone } = await this.fetch(id);
      if (this.id !== id) return;
      if (told) this.known = { ...told, at: this.now() };
      this.isGone = Boolean(isGone);
      this.show();
    }
    if (this.id === id) this.timer = setTimeout(() => this.renew(), AGAIN);
  }

  /** Shows what is known now. */
  show() {
    if (!by('tip').hidden) say(by('tip-told'), this.sentence(this.hinted));
    if (this.id === null || !this.at) return;
    const peer = this.crowd.find(this.id);
    const { known } = this;
    say(by('story-title'), peer?.address ?? known?.peer ?? `Peer ${this.id}`);
    const meter = by('story-meter');
    let told, silent = null;
    if (peer?.departure) {
      told = `It ${departureSentence(peer.departure)}.`;
      silent = peer.departure.silent_ms;
      meter.dataset.class = peer.isDead ? 'dead' : 'left';
    } else if (peer) {
      silent = Math.max(0, this.now() - peer.heard);
      meter.dataset.class = CLASSES[classOf(level(silent, peer.probes, this.at))].name;
      told = `Silent for ${duration(Math.round(silent / 100) * 100)} of at most ${seconds(this.at.deadline)}`;
      told += peer.probes ? `; ${counted(peer.probes, 'probe')} unanswered.` : '.';
    } else if (this.isGone || (this.crowd.isComplete && !known)) {
      told = 'It is not there any more, and this page did not see it go.';
    } else {
      told = 'Asking …';
    }
    say(by('story-told'), told);
    meter.hidden = silent === null;
    by('story-bar').style.transform = `scaleX(${Math.min(1, (silent ?? 0) / this.at.deadline)})`;
    const source = peer?.departure ?? known;
    const rows = [['Id', this.id], ...(source ? rowsOf(source) : [])];
    const list = by('story-figures');
    // The elements stay as long as the rows do, so that a selection survives.
    if (list.children.length !== rows.length * 2) list.replaceChildren(...rows.flatMap(() => [element('dt'), element('dd')]));
    rows.forEach(([title, text], at) => {
      say(list.children[2 * at], title);
      say(list.children[2 * at + 1], text);
    });
    const drop = by('story-drop');
    if (!peer || peer.departure) {
      if (document.activeElement === drop) by('story-title').focus(); // the focus does not vanish with the button
      drop.hidden = true;
    } else {
      drop.hidden = false;
    }
  }

  disarm() {
    clearTimeout(this.armed);
    this.armed = 0;
    say(by('story-drop'), 'Let it go …');
  }

  /** Lets the peer go: at the second click, since it cannot be undone. */
  async drop() {
    const { id } = this;
    if (!this.armed) {
      say(by('story-drop'), 'Really let it go');
      this.armed = setTimeout(() => this.disarm(), 4000);
      return;
    }
    this.disarm();
    try {
      const answer = await this.ask(`/peers/${encodeURIComponent(id)}`, 'DELETE');
      if (!answer.ok && answer.status !== 404) say(by('story-told'), `The server would not let it go (${answer.status}).`);
    } catch {
      say(by('story-told'), 'The server could not be asked to let it go.');
    }
  }
}

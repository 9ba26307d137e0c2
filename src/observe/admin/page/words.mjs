// Numbers with units, and what happened as sentences.
//
// Owns every sentence that is made from figures. Knows no document: all of it runs in node as well.

const NARROW = '\u202f'; // no line break between a number and its unit, nor between groups of digits
const MINUS = '\u2212';

/** 12345 → "12 345". */
export function number(value) {
  const digits = String(Math.round(Math.abs(value))).replace(/\B(?=(\d{3})+$)/g, NARROW);
  return value < 0 ? MINUS + digits : digits;
}

/** Three significant digits at most, and never an exponent. */
function short(value) {
  if (value >= 100 || Number.isInteger(value)) return number(value);
  return String(Number(value.toPrecision(value >= 10 ? 3 : 2)));
}

/** 1 → "1 peer", 2 → "2 peers". */
export function counted(value, one, many = one + 's') {
  return `${number(value)} ${value === 1 ? one : many}`;
}

/** Milliseconds as a person says them: "83 µs", "4.2 ms", "12.5 s", "3 min 20 s", "2 h 5 min", "3 d 4 h". */
export function duration(ms) {
  if (ms < 0) ms = 0;
  if (ms === 0) return `0${NARROW}s`;
  if (ms < 0.0005) return `<${NARROW}1${NARROW}µs`;
  if (ms < 0.9995) return `${short(Math.round(ms * 1000))}${NARROW}µs`;
  if (ms < 999.5) return `${short(ms)}${NARROW}ms`;
  const s = ms / 1000;
  if (s < 59.95) return `${Number(s.toFixed(1))}${NARROW}s`;
  const two = (large, unit, small, part) => (small ? `${large}${NARROW}${unit} ${small}${NARROW}${part}` : `${large}${NARROW}${unit}`);
  const whole = Math.round(s);
  if (whole < 3600) return two(Math.floor(whole / 60), 'min', whole % 60, 's');
  const minutes = Math.round(s / 60);
  if (minutes < 1440) return two(Math.floor(minutes / 60), 'h', minutes % 60, 'min');
  const hours = Math.round(s / 3600);
  return two(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

/** Seconds for an axis or a legend: whole or with one digit, always in seconds up to two minutes. */
export function seconds(ms) {
  return ms < 120000 ? `${Number((ms / 1000).toFixed(ms < 10000 ? 1 : 0))}${NARROW}s` : duration(ms);
}

/** 1536 → "1.5 KiB". */
export function bytes(value) {
  if (value < 1024) return counted(value, 'byte');
  let size = value;
  for (const unit of ['KiB', 'MiB', 'GiB', 'TiB']) {
    size /= 1024;
    if (size < 1024 || unit === 'TiB') return `${short(size)}${NARROW}${unit}`;
  }
  return '';
}

/**
 * The groups of reasons, in the order in which they are stacked. `dead`: found dead by the kernel or the watch; the other
 * groups say who decided.
 */
export const GROUPS = [
  { name: 'dead', title: 'found dead' },
  { name: 'reset', title: 'reset or failed' },
  { name: 'limit', title: 'a limit of ours' },
  { name: 'ours', title: 'let go by us' },
  { name: 'left', title: 'left by itself' },
];

// Reason → its group, its name in a list, and what is said of a peer that departed for it.
const REASONS = {
  closed: ['left', 'closed', 'closed the connection'],
  reset: ['reset', 'reset', 'reset the connection'],
  probes_unanswered: ['dead', 'probes unanswered', 'answered no probe'],
  data_unacknowledged: ['dead', 'data unacknowledged', 'acknowledged nothing of what it was sent'],
  window_shut: ['dead', 'window shut', 'kept its window shut and answered no window probe'],
  unreachable: ['dead', 'unreachable', 'could not be reached: a router said so'],
  unresponsive: ['dead', 'unresponsive', 'did not answer the heartbeat'],
  stalled: ['limit', 'stalled', 'took none of its output for too long'],
  evicted: ['limit', 'evicted', 'was the longest idle, and made room for a newcomer'],
  full: ['limit', 'full', 'was refused: the server is full'],
  too_many_from_address: ['limit', 'too many from its address', 'was refused: too many peers from its address'],
  outbox_full: ['limit', 'outbox full', 'read too slowly: its outbox was full'],
  memory_limit: ['limit', 'memory limit', 'held the most output when all outboxes together reached the limit'],
  out_of_memory: ['limit', 'out of memory', 'was let go because memory ran out'],
  shut_down: ['ours', 'shut down', 'was let go because the server stops'],
  by_service: ['ours', 'by the service', 'was let go by the service'],
  failed: ['reset', 'failed', 'was lost to an error of its socket'],
};

/** The group of a reason. One that this page does not know yet counts as an error of the connection. */
export const groupOf = (reason) => (Object.hasOwn(REASONS, reason) ? REASONS[reason][0] : 'reset');

/** The reason's name in a list. */
export const nameOf = (reason) => (Object.hasOwn(REASONS, reason) ? REASONS[reason][1] : String(reason).replaceAll('_', ' '));

/** What a departure event says, after the peer's address: "answered no probe for 10.2 s; it had been connected for 3 min". */
export function departureSentence(event) {
  let told = Object.hasOwn(REASONS, event.reason) ? REASONS[event.reason][2] : nameOf(event.reason);
  if (groupOf(event.reason) === 'dead' && event.silent_ms != null) told += ` and was silent for ${duration(event.silent_ms)}`;
  if (event.service_reason) told += `, as “${event.service_reason}”`;
  if (event.errno && groupOf(event.reason) === 'reset') told += ` (${event.errno})`;
  const after = event.connected_ms == null ? '' : `; it had been connected for ${duration(event.connected_ms)}`;
  const lost = event.bytes_unacknowledged ? `; ${bytes(event.bytes_unacknowledged)} never arrived` : '';
  return told + after + lost;
}

/** The parts of a turn in their order: the field of a turn, its name, and what it does, for somebody who learns. */
export const PARTS = [
  { field: 'wait_us', name: 'wait', does: 'blocks until the kernel has something to announce' },
  { field: 'latch_us', name: 'latch', does: 'remembers what was announced; does nothing yet' },
  { field: 'drive_us', name: 'drive', does: 'reads and writes for each peer that can make progress' },
  { field: 'accept_us', name: 'accept', does: 'takes newcomers, after all reads and writes' },
  { field: 'expire_us', name: 'expire', does: 'does what is due: who was silent for too long?' },
  { field: 'carry_out_us', name: 'carry out', does: 'does what services ordered for other peers' },
  { field: 'reap_us', name: 'reap', does: 'frees what has ended, a few at a time' },
];

/** How long a turn took apart from its wait, in microseconds. */
export const workOf = (turn) => PARTS.slice(1).reduce((sum, part) => sum + (turn[part.field] ?? 0), 0);

/**
 * A turn as sentences: one for each part that did something, in order; `part` is its place among PARTS. A part with nothing to do
 * takes less than a microsecond.
 */
export function turnSentences(turn) {
  const us = (field) => turn[field] ?? 0;
  const took = (field) => duration(us(field) / 1000);
  const events = turn.events ?? 0;
  const peers = Array.isArray(turn.peers) ? turn.peers.length : turn.peers;
  const told = [];
  const tell = (part, sentence) => told.push({ part, sentence });
  const waited = us('wait_us') < 5 ? 'It did not wait' : `It waited ${took('wait_us')}`;
  tell(0, events ? `${waited}; the kernel announced ${counted(events, 'event')}.` : `${waited}; the kernel announced nothing.`);
  if (us('latch_us') >= 1) tell(1, `It remembered what was announced, in ${took('latch_us')}.`);
  if (us('drive_us') >= 1) {
    const whom = peers ? ` ${counted(peers, 'peer')}` : ' whoever could make progress';
    tell(2, `It drove${whom} for ${took('drive_us')}.`);
  }
  if (us('accept_us') >= 1) tell(3, `It looked for newcomers and accepted them, in ${took('accept_us')}.`);
  if (us('expire_us') >= 1) tell(4, `It did what was due, in ${took('expire_us')}.`);
  if (us('carry_out_us') >= 1) tell(5, `It carried out what services had ordered, in ${took('carry_out_us')}.`);
  if (us('reap_us') >= 1) tell(6, `It freed what had ended, in ${took('reap_us')}.`);
  const all = us('wait_us') + workOf(turn);
  const share = all ? (100 * workOf(turn)) / all : 0;
  const percent = share >= 10 ? share.toFixed(0) : share >= 0.1 ? share.toFixed(1) : '';
  tell(-1, `In all ${duration(workOf(turn) / 1000)} of work, ${percent ? `${percent}${NARROW}%` : 'less than 0.1' + NARROW + '%'} of the turn.`);
  return told;
}

// How silent a peer is, against its deadline: the classes, the levels of colour within them, and the moments between.
//
// Owns the judgement "calm, asked, in danger, gone" that the page shows. The server's own judgement is another: this one only
// colours cells. Knows no document.

/** Levels of colour in each class; a level is drawn as one sprite. */
export const CALM = 6, ASKED = 6, DANGER = 4, FADING = 4;
export const FIRST_ASKED = CALM, FIRST_DANGER = CALM + ASKED;
export const FIRST_DEAD = FIRST_DANGER + DANGER, FIRST_LEFT = FIRST_DEAD + FADING, LEVELS = FIRST_LEFT + FADING;
export const EMPTY = LEVELS;

/** For how long a peer that has gone keeps its cell, in milliseconds. Who was found dead is to be seen. */
export const DEAD_STAYS = 12000, LEFT_STAYS = 4000;

export const CLASSES = [
  { name: 'calm', title: 'calm', told: 'heard from' },
  { name: 'asked', title: 'asked', told: 'probes go unanswered' },
  { name: 'danger', title: 'in danger', told: 'near its deadline' },
  { name: 'dead', title: 'found dead', told: 'gone' },
  { name: 'left', title: 'left', told: 'gone by itself, or let go' },
];

/**
 * The moments at which the class of a silent peer changes, in milliseconds of silence.
 *
 * A living peer that is idle answers a probe each `idle`, and the page hears of it up to a pace later; only after that
 * is its silence remarkable. The last third of the deadline is the danger.
 */
export function moments(hello) {
  const deadline = Math.max(1, hello.deadline_ms ?? 35000);
  const idle = hello.idle_ms ?? deadline / 7;
  const interval = hello.interval_ms ?? idle;
  const pace = hello.pace_ms ?? 1000;
  const asked = Math.min(idle + pace + 250, deadline * 0.6);
  const danger = Math.max(deadline * (2 / 3), asked + (deadline - asked) / 3);
  return { deadline, idle, interval, asked, danger, certain: Math.min(asked + interval, danger) };
}

/**
 * The level of a peer that has been silent for so long. Its split of the deadline may have a longer idle time than the one
 * in hello, since a crowd is spread: so silence alone is remarkable one interval later than silence with a probe that
 * is unanswered.
 */
export function level(silent, probes, at) {
  if (silent >= at.danger) {
    const within = (silent - at.danger) / Math.max(1, at.deadline - at.danger);
    return FIRST_DANGER + Math.min(DANGER - 1, Math.floor(within * DANGER));
  }
  if (silent >= at.asked && (probes > 0 || silent >= at.certain)) {
    const within = (silent - at.asked) / Math.max(1, at.danger - at.asked);
    return FIRST_ASKED + Math.min(ASKED - 1, Math.floor(within * ASKED));
  }
  return Math.max(0, Math.min(CALM - 1, Math.floor((silent / at.asked) * CALM)));
}

/** The level of one that went so long ago, or EMPTY if its cell is to be given up. */
export function goneLevel(ago, isDead) {
  const stays = isDead ? DEAD_STAYS : LEFT_STAYS;
  if (ago >= stays) return EMPTY;
  return (isDead ? FIRST_DEAD : FIRST_LEFT) + Math.max(0, Math.min(FADING - 1, Math.floor((ago / stays) * FADING)));
}

/** The place among CLASSES of a level. */
export function classOf(level) {
  if (level < FIRST_ASKED) return 0;
  if (level < FIRST_DANGER) return 1;
  if (level < FIRST_DEAD) return 2;
  return level < FIRST_LEFT ? 3 : 4;
}

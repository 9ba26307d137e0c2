// The stream of the server: read with fetch, because EventSource cannot send a token; kept up while the page is seen.
//
// Owns the connection: its end, the back-off, and the pause while the page is hidden. Knows nothing of what is told, and no
// document: the clock and fetch are given.

/** Reads server-sent events from text that comes in any pieces. `tell(event, data, id)` for each. */
export function reader(tell) {
  let rest = '', event = '', data = [], id = '';
  return (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    for (const full of lines) {
      const line = full.endsWith('\r') ? full.slice(0, -1) : full;
      if (line === '') {
        if (data.length) tell(event || 'message', data.join('\n'), id);
        [event, data] = ['', []];
        continue;
      }
      const colon = line.indexOf(':');
      if (colon === 0) continue; // a comment: it only shows that the server is there
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'event') event = value;
      else if (field === 'data') data.push(value);
      else if (field === 'id') id = value;
    }
  };
}

/** How long to wait before the next try, in milliseconds: from half a second up to ten, scattered by a fifth. */
export function backOff(tries, random = Math.random()) {
  return Math.min(10000, 500 * 2 ** Math.min(tries, 10)) * (0.9 + 0.2 * random);
}

/** Nothing for so long, although figures come each second: the server has gone, or the path to it. */
export const SILENT = 6000;

/**
 * The stream from `path`. `on` is told: {event(name, data), connected(), lost(trouble, nextTry), unauthorized()}. It begins with
 * `resume()`, ends with `pause()`, and tries again by itself when it breaks off.
 */
export class Stream {
  constructor(path, headers, on, fetch = globalThis.fetch.bind(globalThis)) {
    Object.assign(this, { path, headers, on, fetch, tries: 0, stop: null, timer: 0, isPaused: true });
  }

  resume() {
    this.isPaused = false;
    clearTimeout(this.timer);
    if (!this.stop) this.run();
  }

  pause() {
    this.isPaused = true;
    clearTimeout(this.timer);
    this.stop?.abort();
    this.stop = null;
  }

  async run() {
    const stop = new AbortController();
    this.stop = stop;
    let trouble = 'the connection ended', watchdog = 0;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => stop.abort(), SILENT);
    };
    try {
      alive();
      const answer = await this.fetch(this.path, { headers: this.headers(), signal: stop.signal, cache: 'no-store' });
      if (answer.status === 401) {
        if (this.stop === stop) this.stop = null;
        this.isPaused = true;
        clearTimeout(watchdog);
        stop.abort();
        return this.on.unauthorized();
      }
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      const text = new TextDecoder();
      const read = reader((name, data) => {
        let told;
        try {
          told = JSON.parse(data);
        } catch {
          return; // a line that was cut off or is not for us: the next full sweep makes up for it
        }
        this.on.event(name, told);
      });
      let isFirst = true;
      for (const body = answer.body.getReader(); ;) {
        const { done, value } = await body.read();
        if (done) break;
        alive();
        if (isFirst) this.on.connected();
        [isFirst, this.tries] = [false, 0];
        read(text.decode(value, { stream: true }));
      }
    } catch (error) {
      trouble = stop.signal.aborted ? 'nothing was heard from it' : error.message;
    }
    clearTimeout(watchdog);
    if (this.stop !== stop || this.isPaused) return; // paused, or begun anew, on purpose
    this.stop = null;
    const next = backOff(this.tries++);
    this.on.lost(trouble, next);
    this.timer = setTimeout(() => this.resume(), next);
  }
}

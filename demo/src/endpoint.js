// Endpointing: where a word begins and ends, by energy alone. Samples in, words out, independent of the browser.

const FRAME = 0.01; // s; every decision is made once per frame
const HIGH_PASS = 100; // Hz; mains hum and rumble lie below speech
// dB above the noise floor: a word begins. At 10 dB SNR in white noise, 8 finds 198 of 200
// clips and 10 finds 194; 7 finds no more, and has four times as many false alarms in fluctuating noise.
const LOUD = 8;
const QUIET = 4; // dB above the noise floor: below it, a word may have ended. The gap to LOUD is the hysteresis
const DECAY = 35; // dB below the peak of the word counts as quiet too: it is reverberation
const LOWEST_FLOOR = -70; // dB of full scale; after digital silence, noise of the sound card must not count as a word
const WAKING = 0.1; // s used to estimate the noise floor; a microphone may start with silence, or fade in
const ONSET = 0.03; // s above the threshold begin a word; anything shorter is a click
const STEADY = 6; // dB; a long sound that varies less than this is a fan, not a voice

/**
 * A piece of sound between two pauses.
 * @typedef {object} Word
 * @property {Float32Array} samples with a little of what lies before and after
 * @property {number} start of the word itself, in s since the first sample
 * @property {number} end likewise: its last loud moment
 * @property {boolean} tooLong it reached the maximum length and was cut off: not a single digit
 */

/** The level of a frame after a high-pass filter. */
class Loudness {
  constructor(rate) {
    this.smoothing = Math.exp((-2 * Math.PI * HIGH_PASS) / rate);
    this.slow = 0; // what changes slowly, so far
  }

  /** @returns {number} dB of full scale */
  of(samples) {
    let energy = 0;
    for (const sample of samples) {
      this.slow = this.smoothing * this.slow + (1 - this.smoothing) * sample;
      energy += (sample - this.slow) ** 2;
    }
    return 10 * Math.log10(energy / samples.length + 1e-12);
  }
}

export class EndPointer {
  /**
   * @param {number} rate samples a second
   * @param {object} [options]
   * @param {number} [options.pause] s of quiet that end a word; the stop closures within "eight" and "six" last 0.1 s
   * @param {number} [options.before] s kept before the onset, since the f of "five" starts faintly. More of it
   *   would add noise: in a loud room 0.15 and 0.12 cost the model four points of accuracy
   * @param {number} [options.after] s kept after the last loud moment
   * @param {number} [options.shortest] s
   * @param {number} [options.longest] s
   * @param {number} [options.floor] dB of full scale: the initial noise floor; NaN: estimated from the first frames
   */
  constructor(rate, { pause = 0.16, before = 0.06, after = 0.04, shortest = 0.1, longest = 2, floor = NaN } = {}) {
    const frames = (seconds) => Math.round(seconds / FRAME);
    this.size = Math.round(rate * FRAME);
    this.pause = frames(pause);
    this.before = frames(before);
    this.after = Math.min(frames(after), this.pause);
    this.shortest = frames(shortest);
    this.longest = frames(longest);
    this.loudness = new Loudness(rate);
    this.rest = new Float32Array(0); // less than a frame
    this.frames = []; // the last few: {samples, level}
    this.count = 0; // frames so far
    this.floor = Math.max(floor, LOWEST_FLOOR);
    this.first = []; // levels of the frames that the floor is learned from
    this.loudRun = 0;
    this.begun = -1; // the frame in which the present word began, or -1
    this.lastLoud = -1;
    this.peak = -Infinity;
  }

  /** Whether a word is being spoken. */
  get inWord() {
    return this.begun >= 0;
  }

  /**
   * Process further samples.
   * @param {Float32Array} samples any number of them
   * @returns {Word[]} that ended within them
   */
  push(samples) {
    const all = new Float32Array(this.rest.length + samples.length);
    all.set(this.rest);
    all.set(samples, this.rest.length);
    const words = [];
    let at = 0;
    for (; at + this.size <= all.length; at += this.size) {
      const word = this.#process(all.slice(at, at + this.size));
      if (word) words.push(word);
    }
    this.rest = all.slice(at);
    return words;
  }

  /**
   * The recording ends here, and with it a word that is still being spoken.
   * @returns {Word[]} none or one
   */
  flush() {
    const word = this.inWord ? this.#end(false) : null;
    return word ? [word] : [];
  }

  #process(samples) {
    const level = this.loudness.of(samples);
    this.frames.push({ samples, level });
    this.count += 1;
    if (this.inWord) return this.#continue(level);
    this.#adapt(level);
    this.loudRun = level > this.floor + LOUD ? this.loudRun + 1 : 0;
    if (this.loudRun * FRAME >= ONSET - 1e-9) {
      this.begun = this.count - this.loudRun;
      this.lastLoud = this.count - 1;
      this.peak = Math.max(...this.frames.slice(-this.loudRun).map((frame) => frame.level));
      this.loudRun = 0;
    } else {
      this.frames.splice(0, this.frames.length - this.before - Math.ceil(ONSET / FRAME));
    }
    return null;
  }

  #continue(level) {
    this.peak = Math.max(this.peak, level);
    if (level > Math.max(this.floor + QUIET, this.peak - DECAY)) this.lastLoud = this.count - 1;
    if (this.count - 1 - this.lastLoud >= this.pause) return this.#end(false);
    if (this.count - this.begun < this.longest) return null;
    const levels = this.frames.map((frame) => frame.level).sort((a, b) => a - b);
    const [low, high] = [0.1, 0.9].map((part) => levels[Math.floor(part * levels.length)]);
    const word = this.#end(true);
    this.floor = Math.max(low, LOWEST_FLOOR);
    return high - low < STEADY ? null : word;
  }

  #end(tooLong) {
    const first = this.count - this.frames.length;
    const from = Math.max(0, this.begun - this.before - first);
    const kept = this.frames.slice(from, this.lastLoud + 1 + this.after - first);
    const samples = new Float32Array(kept.length * this.size);
    kept.forEach((frame, index) => samples.set(frame.samples, index * this.size));
    const [start, end] = [this.begun * FRAME, (this.lastLoud + 1) * FRAME];
    const long = this.lastLoud + 1 - this.begun >= this.shortest;
    this.begun = -1;
    this.frames = this.frames.slice(-this.before);
    return long ? { samples, start, end, tooLong } : null;
  }

  /** Adapt the noise floor: it falls quickly and rises slowly. */
  #adapt(level) {
    if (Number.isNaN(this.floor)) {
      if (level > -100) this.first.push(level); // below is digital silence: the sound card has not started yet
      if (this.first.length * FRAME < WAKING) return;
      this.floor = Math.max(this.first.sort((a, b) => a - b)[this.first.length >> 1], LOWEST_FLOOR);
    }
    const step = level < this.floor ? 0.2 : 0.02;
    this.floor = Math.max(LOWEST_FLOOR, this.floor + step * (Math.min(level, this.floor + LOUD) - this.floor));
  }
}

/**
 * Split a whole recording at its pauses. A recording without a pause is one word, if it is short enough.
 *
 * Python's utils/inference/endpointing.py sets its threshold from the whole recording; this is the microphone's online
 * endpointer, so they differ: at 5 dB SNR in white noise Python still finds nearly all words, this one three of four; a
 * steady hiss of any length is one word there, here none if it is longer than two seconds; and only here are words cut
 * off at two seconds.
 * @param {Float32Array} samples
 * @param {number} rate samples a second
 * @returns {Word[]}
 */
export function cut(samples, rate) {
  // A clip cut by hand begins with speech, so the noise floor is estimated from the whole clip.
  const [loudness, size, levels] = [new Loudness(rate), Math.round(rate * FRAME), []];
  for (let at = 0; at + size <= samples.length; at += size) levels.push(loudness.of(samples.subarray(at, at + size)));
  levels.sort((a, b) => a - b);
  const pointer = new EndPointer(rate, { floor: levels[Math.floor(0.1 * levels.length)] });
  const words = [...pointer.push(samples), ...pointer.flush()];
  const seconds = samples.length / rate;
  if (words.length || seconds > pointer.longest * FRAME) return words;
  return [{ samples, start: 0, end: seconds, tooLong: false }];
}

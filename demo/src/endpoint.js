// Endpointing: where a word begins and ends, by its spectrum above the noise floor. Samples in, words out, independent of
// the browser. utils/inference/endpointing.py is the same in Python, with the same constants; a test compares them.

import { Spectrum } from "./spectrum.js";

const HOP = 0.01; // s from frame to frame
const WINDOW = 0.032; // s, about: of the spectrum of a frame
const SMOOTHING = 3; // frames whose levels are averaged
const [BANDS, LOWEST, HIGHEST] = [12, 200, 3800]; // bands, equally wide in mel, between these frequencies in Hz
const BLOCK = 5; // frames between two measurements of the noise floor
const [HISTORY, WARM_UP] = [150, 100]; // frames that the floor is measured on, later and for the first frames
const PERCENTILE = 20; // of the levels of these frames
const LEAST_FLOOR = -75; // dB; after digital silence, the noise of a sound card must not count as a word
const SILENCE = -90; // dB, of a band without any sound
const RANGE = 20; // dB; a band further above its floor counts as this far, so that one band alone makes no word
const [BEGIN, END] = [6, 4]; // dB above the floor, root mean square over the bands: a word begins, and it may have ended
const PAUSE = 16; // frames of quiet that end a word; the stop closure within "eight" or "six" is shorter
const WORD = 15; // frames; shorter sounds, such as clicks, are ignored (spectra smear a sound by 50 ms)
const LONGEST = 300; // frames, after which a sound without a pause is cut
export const MARGIN = 0.06; // s kept on both sides of a word, for weak onsets and endings

/**
 * A sound between two pauses.
 * @typedef {object} Word
 * @property {Float32Array} samples with a little of what lies before and after
 * @property {number} start of the word itself, in s since the first sample
 * @property {number} end likewise: its last loud moment
 * @property {boolean} tooLong it reached the maximum length and was cut off: not a single digit
 */

export class Endpointer {
  /** @param {number} rate samples a second */
  constructor(rate) {
    this.rate = rate;
    this.hop = Math.round(rate * HOP);
    this.margin = Math.round(rate * MARGIN);
    const size = 2 ** Math.round(Math.log2(rate * WINDOW));
    this.spectrum = new Spectrum(size);
    this.bins = new Float32Array(size / 2);
    this.bands = bands(rate, size);
    this.received = 0; // samples
    this.kept = new Float32Array(0); // the last samples received
    this.raw = Array.from({ length: SMOOTHING - 1 }, () => new Float64Array(BANDS).fill(SILENCE));
    this.levels = []; // dB, smoothed: of the last frames, with those that are not yet processed
    this.measured = 0; // frames so far
    this.frames = 0; // processed so far
    this.begun = -1; // the frame in which the present word began, or -1
    this.loud = -1; // the last frame of the word above END
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
    const kept = new Float32Array(this.kept.length + samples.length);
    kept.set(this.kept);
    kept.set(samples, this.kept.length);
    this.kept = kept;
    this.received += samples.length;
    this.#measure();
    const waiting = this.measured - this.frames;
    if (this.frames === 0 && waiting < WARM_UP) return [];
    const words = this.#process(Math.floor(waiting / BLOCK) * BLOCK);
    const needed = this.inWord ? this.begun : this.frames;
    const earliest = (needed - SMOOTHING) * this.hop - this.margin - this.spectrum.size;
    this.kept = this.kept.slice(Math.max(0, earliest - this.received + this.kept.length));
    return words;
  }

  /**
   * The recording ends here, and with it a word that is still being spoken.
   * @returns {Word[]}
   */
  flush() {
    const words = this.#process(this.measured - this.frames);
    return this.inWord ? [...words, ...this.#end(false)] : words;
  }

  /** The levels of the frames that have been received. */
  #measure() {
    const first = this.received - this.kept.length;
    const { size } = this.spectrum;
    for (; (this.measured + 1) * this.hop <= this.received; this.measured += 1) {
      this.spectrum.levels(this.kept, (this.measured + 1) * this.hop - size - first, this.bins);
      const level = new Float64Array(BANDS);
      for (let band = 0; band < BANDS; band += 1) {
        const [from, to] = [this.bands[band], this.bands[band + 1]];
        let power = 0;
        for (let bin = from; bin < to; bin += 1) power += 10 ** (this.bins[bin] / 10);
        level[band] = 10 * Math.log10(((power / (to - from)) * size) / 16 + 10 ** (SILENCE / 10));
      }
      this.raw.push(level);
      this.levels.push(level.map((_, band) => this.raw.reduce((sum, each) => sum + each[band], 0) / SMOOTHING));
      this.raw.shift();
    }
  }

  /** Compare the next frames with their noise floor, block by block. */
  #process(frames) {
    const words = [];
    const before = this.levels.length - (this.measured - this.frames);
    for (let start = before; start < before + frames; start += BLOCK) {
      const end = Math.min(start + BLOCK, before + frames);
      const known = this.levels.slice(Math.max(0, end - HISTORY), Math.max(end, WARM_UP));
      const floor = Float64Array.from({ length: BANDS }, (_, band) => {
        const sorted = Float64Array.from(known, (level) => level[band]).sort();
        return Math.max(LEAST_FLOOR, sorted[Math.floor((known.length * PERCENTILE) / 100)]);
      });
      for (const level of this.levels.slice(start, end)) {
        let squares = 0;
        for (let band = 0; band < BANDS; band += 1) {
          squares += Math.max(0, Math.min(RANGE, level[band] - floor[band])) ** 2;
        }
        words.push(...this.#step(Math.sqrt(squares / BANDS)));
      }
    }
    this.levels = this.levels.slice(Math.max(0, before + frames - HISTORY));
    return words;
  }

  /** Decide about one frame by its level above the noise floor, in dB. */
  #step(excess) {
    const frame = this.frames;
    this.frames += 1;
    if (!this.inWord) {
      if (excess >= BEGIN) this.begun = this.loud = frame;
      return [];
    }
    if (excess >= END) this.loud = frame;
    const tooLong = frame - this.begun >= LONGEST;
    return tooLong || frame - this.loud >= PAUSE ? this.#end(tooLong) : [];
  }

  #end(tooLong) {
    // a frame's smoothed level is that of about a hop earlier
    const [begin, end] = [(this.begun - 1) * this.hop, this.loud * this.hop];
    const short = this.loud + 1 - this.begun < WORD;
    this.begun = -1;
    if (short) return [];
    const first = this.received - this.kept.length;
    const from = Math.max(0, begin - this.margin);
    const samples = this.kept.slice(from - first, Math.min(this.received, end + this.margin) - first);
    return [{ samples, start: Math.max(0, begin) / this.rate, end: end / this.rate, tooLong }];
  }
}

/** The first bin of each band of a spectrum, and the end of the last one. */
function bands(rate, size) {
  const mel = (hertz) => 2595 * Math.log10(1 + hertz / 700);
  return Array.from({ length: BANDS + 1 }, (_, index) => {
    const place = mel(LOWEST) + (index / BANDS) * (mel(HIGHEST) - mel(LOWEST));
    return Math.round(((700 * (10 ** (place / 2595) - 1)) / rate) * size);
  });
}

/**
 * Split a whole recording at its pauses. A recording of up to three seconds without any pause is one word.
 * @param {Float32Array} samples
 * @param {number} rate samples a second
 * @returns {Word[]}
 */
export function cut(samples, rate) {
  const pointer = new Endpointer(rate);
  const words = [...pointer.push(samples), ...pointer.flush()];
  const seconds = samples.length / rate;
  if (words.length || seconds > LONGEST * HOP) return words;
  return [{ samples, start: 0, end: seconds, tooLong: false }];
}

// Strings of digits without pauses: samples in, digits out while they are spoken, independent of the browser.
// utils/inference/strings.py is the same in Python; a test compares them.

import { cut, MARGIN } from "./endpoint.js";
import { PrefixBeam } from "./prefix_beam.js";

const BLOCK = 10; // s that are processed at once, at most
const SHORTEST = 0.05; // s of a digit
const RENEWED = 25; // steps: after so many, the state may be made anew, from the same number
const SILENT = 38; // steps that must have named no digit for that
const SILENCE = 0.3; // s added where a recording begins or ends with a word
const LABELS = 11;
const PAUSE = 1; // s; digits closer to one another are one string
const UNNOTICED = 1; // s that a digit may have begun before it is named
const KEPT = 60; // s of a string's sound that are kept, its last ones: a radio may make one without an end

/**
 * The contents of `strings.json`: how the model divides a sound (samples of a frame, frames of margin, of a step, and of
 * context), the Platt scaling of its probabilities, and the size of its state.
 * @typedef {{name: string, sample_rate: number, parameters: number, hop: number, margin: number, stride: number,
 *   context: number, slope: number, shift: number, units: number}} Facts
 *
 * Runs the model on a piece of sound: its samples, the first and the last (exclusive) of its frames that count, and of
 * the steps among these that are wanted, and the state after the steps before.
 * @typedef {(samples: Float32Array, frames: [number, number], steps: [number, number], state: Float32Array) =>
 *   Promise<{labels: Float32Array, passed: Float32Array, next: Float32Array}>} Label
 *
 * A digit: its start and end in s, and the probabilities of the ten digits.
 * @typedef {{digit: number, probability: number, probabilities: Float64Array, start: number, end: number}} Word
 */

/**
 * A recording with silence at the ends at which a word lies, since the model has learned from words with sound around
 * them, and the seconds of silence before it.
 * @param {Float32Array} samples
 * @param {number} rate samples a second
 * @returns {{padded: Float32Array, lead: number}}
 */
export function withSilence(samples, rate) {
  const words = cut(samples, rate);
  const silence = Math.round(SILENCE * rate);
  const before = words.length && words[0].start <= MARGIN ? silence : 0;
  const after = words.length && words.at(-1).end + MARGIN >= samples.length / rate ? silence : 0;
  const padded = new Float32Array(before + samples.length + after);
  padded.set(samples, before);
  return { padded, lead: before / rate };
}

export class StringStream {
  /**
   * @param {Label} label
   * @param {Facts} facts
   */
  constructor(label, facts) {
    this.label = label;
    this.facts = facts;
    this.beam = new PrefixBeam();
    this.received = 0; // samples
    this.kept = new Float32Array(0); // the last of them
    this.steps = 0; // labelled so far
    this.silent = 0; // the last of these, which name no digit
    this.state = new Float32Array(facts.units);
    this.end = 0; // of the last digit
  }

  /** The length of the sound so far, in s. */
  get seconds() {
    return this.received / this.facts.sample_rate;
  }

  /**
   * Process further samples; the call before must have ended.
   * @param {Float32Array} samples any number of them
   * @returns {Promise<Word[]>} digits that are final now
   */
  async push(samples) {
    const words = [];
    const size = BLOCK * this.facts.sample_rate;
    for (let at = 0; at < samples.length; at += size) {
      words.push(...(await this.#process(samples.subarray(at, at + size), false)));
    }
    return words;
  }

  /** @returns {Promise<Word[]>} the digits that remain: the sound ends here */
  async flush() {
    const words = await this.#process(new Float32Array(0), true);
    return [...words, ...this.beam.flush().map((digit) => this.#word(digit))];
  }

  async #process(samples, end) {
    const { hop, margin, stride, context } = this.facts;
    this.received += samples.length;
    const first = Math.max(0, stride * (this.steps - RENEWED) - context); // the first frame needed
    this.kept = joined(this.kept, samples);
    this.kept = this.kept.slice((first - (first ? margin : 0)) * hop - (this.received - this.kept.length));
    const frames = 1 + Math.floor(this.received / hop) - (end ? 0 : margin);
    const ready = end ? Math.ceil(frames / stride) : Math.floor((frames - context - 1) / stride) + 1;
    const words = [];
    while (this.received && this.steps < ready) {
      const until = Math.min(ready, (Math.floor(this.steps / RENEWED) + 1) * RENEWED);
      const { labels, passed } = await this.#run(this.steps, until, frames);
      for (let step = 0; step < until - this.steps; step += 1) {
        const row = labels.subarray(LABELS * step, LABELS * (step + 1)).map(Math.exp);
        const time = this.#seconds(this.steps + step);
        const digits = this.beam.push(row, time - passed[2 * step], time - passed[2 * step + 1]);
        words.push(...digits.map((digit) => this.#word(digit)));
        this.silent = row[LABELS - 1] < 0.5 ? 0 : this.silent + 1;
      }
      this.steps = until;
      // after words and silence, the state is none that the model knows: it is made anew, as if the sound began here
      if (until % RENEWED === 0 && this.silent >= SILENT) {
        this.state = new Float32Array(this.facts.units);
        await this.#run(until - RENEWED, until, frames);
      }
    }
    return words;
  }

  /** Label the steps from one to another (exclusive) of the sound, which has so many frames that count. */
  async #run(from, until, frames) {
    const { hop, margin, stride, context } = this.facts;
    const first = Math.max(0, stride * from - context);
    const last = Math.min(frames, stride * (until - 1) + 1 + context);
    const before = first ? margin : 0; // frames of windows that reach beyond the beginning of the piece
    const dropped = this.received - this.kept.length;
    const piece = this.kept.slice((first - before) * hop - dropped, (last - 1 + margin) * hop - dropped);
    const skipped = Math.floor(first / stride);
    const made = await this.label(piece, [before, before + last - first], [from - skipped, until - skipped], this.state);
    this.state = made.next;
    return made;
  }

  #word({ label, named, probabilities }) {
    const { context, stride } = this.facts;
    const heard = Math.min(this.#seconds(named.step + context / stride), this.seconds);
    const start = Math.min(Math.max(named.start, this.end), heard);
    this.end = Math.max(start, Math.min(Math.max(named.end, start + SHORTEST), heard));
    const scaled = this.#scaled(label, probabilities);
    return { digit: label, probability: scaled[label], probabilities: scaled, start, end: this.end };
  }

  /** Scale the probability of the digit that was recognised; the others share the remainder as before. */
  #scaled(label, probabilities) {
    const { slope, shift } = this.facts;
    const chance = Math.min(probabilities[label], 1); // a sum, which rounding can take beyond 1
    const right = Math.exp(shift) * chance ** slope;
    const wrong = (1 - chance) ** slope;
    const remainder = chance < 1 ? wrong / (right + wrong) / (1 - chance) : 0;
    return probabilities.map((other, digit) => (digit === label ? right / (right + wrong) : remainder * other));
  }

  /** The time of a step. */
  #seconds(step) {
    return (step * this.facts.stride * this.facts.hop) / this.facts.sample_rate;
  }
}

/**
 * What is done while one listens, and at the end of a string.
 * @typedef {object} Hearer
 * @property {(word: Word, digits: string) => void} digit and those of its string so far
 * @property {(string: {digits: string, probability: number, samples: Float32Array}) => void} string has ended; the
 *   probability is that of its least probable digit
 */

/** Groups the digits of a stream into strings, and keeps their sound, of a long one the end. */
export class StringListener {
  /**
   * @param {StringStream} stream
   * @param {Hearer} hearer
   */
  constructor(stream, hearer) {
    this.stream = stream;
    this.hearer = hearer;
    this.words = []; // of the present string
    this.tape = new Float32Array(0); // the last samples
  }

  /** @param {Float32Array} samples */
  async push(samples) {
    this.tape = joined(this.tape, samples);
    this.#hear(await this.stream.push(samples));
    const { seconds } = this.stream;
    const quiet = seconds - (this.words.at(-1)?.end ?? 0);
    if (this.words.length && !this.stream.beam.pending && quiet > PAUSE + UNNOTICED) this.#end();
    const needed = this.words.length ? Math.max(this.words[0].start, seconds - KEPT) : seconds - PAUSE - 2 * UNNOTICED;
    this.tape = this.tape.slice(Math.max(0, this.#place(needed - 0.2)));
  }

  /** The sound ends here. */
  async flush() {
    this.#hear(await this.stream.flush());
    if (this.words.length) this.#end();
  }

  #hear(words) {
    for (const word of words) {
      if (this.words.length && word.start - this.words.at(-1).end > PAUSE) this.#end();
      this.words.push(word);
      this.hearer.digit(word, this.words.map(({ digit }) => digit).join(""));
    }
  }

  #end() {
    const { words } = this;
    this.words = [];
    this.hearer.string({
      digits: words.map(({ digit }) => digit).join(""),
      probability: Math.min(...words.map(({ probability }) => probability)),
      samples: this.tape.slice(Math.max(0, this.#place(words[0].start - 0.1)), this.#place(words.at(-1).end + 0.2)),
    });
  }

  /** Where on the tape a time lies. */
  #place(seconds) {
    return Math.round(seconds * this.stream.facts.sample_rate) - (this.stream.received - this.tape.length);
  }
}

function joined(one, other) {
  const both = new Float32Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}

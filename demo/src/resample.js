// From one sample rate to another while the sound is still coming in: for browsers that keep the microphone's own rate.

const ZEROS = 12; // zero crossings of the sinc on each side; more are sharper and slower

/** A windowed-sinc resampler: each sample of the result is a weighted mean of the samples around its moment. */
export class Resampler {
  /**
   * @param {number} from samples a second that come in
   * @param {number} to samples a second that go out
   */
  constructor(from, to) {
    this.step = from / to;
    this.cutoff = Math.min(1, to / from) * 0.95; // frequencies above the lower rate's Nyquist limit must not alias
    this.reach = Math.ceil(ZEROS / this.cutoff);
    this.buffer = new Float32Array(this.reach); // silence before the beginning
    this.at = this.reach; // where in the buffer the next result lies
  }

  /**
   * @param {Float32Array} samples the next ones, any number
   * @returns {Float32Array} as many as can be computed so far
   */
  push(samples) {
    const all = new Float32Array(this.buffer.length + samples.length);
    all.set(this.buffer);
    all.set(samples, this.buffer.length);
    const count = Math.max(0, Math.ceil((all.length - this.reach - this.at) / this.step));
    const out = new Float32Array(count);
    for (let index = 0; index < count; index += 1) out[index] = this.#mean(all, this.at + index * this.step);
    this.at += count * this.step;
    const done = Math.max(0, Math.floor(this.at) - this.reach);
    this.buffer = all.slice(done);
    this.at -= done;
    return out;
  }

  #mean(all, moment) {
    let sum = 0;
    for (let index = Math.ceil(moment - this.reach); index <= moment + this.reach; index += 1) {
      const away = index - moment;
      const x = Math.PI * away * this.cutoff;
      const sinc = Math.abs(x) < 1e-9 ? 1 : Math.sin(x) / x;
      sum += all[index] * sinc * Math.cos((Math.PI * away) / (2 * (this.reach + 1))) ** 2;
    }
    return sum * this.cutoff;
  }
}

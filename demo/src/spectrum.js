// One column of a spectrogram: how strong each frequency is around one moment.

/** A Fourier transform of a fixed size, with Hann's window. */
export class Spectrum {
  /** @param {number} size samples, a power of two */
  constructor(size) {
    this.size = size;
    this.window = Float64Array.from({ length: size }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / size));
    this.cos = Float64Array.from({ length: size / 2 }, (_, i) => Math.cos((2 * Math.PI * i) / size));
    this.sin = Float64Array.from({ length: size / 2 }, (_, i) => Math.sin((2 * Math.PI * i) / size));
    const bits = Math.log2(size);
    this.place = Uint32Array.from({ length: size }, (_, i) => {
      let mirrored = 0;
      for (let bit = 0; bit < bits; bit += 1) mirrored |= ((i >> bit) & 1) << (bits - 1 - bit);
      return mirrored;
    });
    this.real = new Float64Array(size);
    this.imaginary = new Float64Array(size);
  }

  /**
   * @param {Float32Array} samples
   * @param {number} start of the window within them; what lies outside is silence
   * @param {Float32Array} levels takes the result: dB of each of size / 2 frequencies, from 0 Hz up; 0 dB: a full-scale sine
   */
  levels(samples, start, levels) {
    const { size, real, imaginary } = this;
    for (let i = 0; i < size; i += 1) real[this.place[i]] = (samples[start + i] ?? 0) * this.window[i];
    imaginary.fill(0);
    for (let half = 1; half < size; half *= 2) {
      const stride = size / (2 * half);
      for (let block = 0; block < size; block += 2 * half) {
        for (let i = block, turn = 0; i < block + half; i += 1, turn += stride) {
          const j = i + half;
          const re = real[j] * this.cos[turn] + imaginary[j] * this.sin[turn];
          const im = imaginary[j] * this.cos[turn] - real[j] * this.sin[turn];
          real[j] = real[i] - re;
          imaginary[j] = imaginary[i] - im;
          real[i] += re;
          imaginary[i] += im;
        }
      }
    }
    const scale = (4 / size) ** 2;
    for (let i = 0; i < size / 2; i += 1) {
      levels[i] = 10 * Math.log10((real[i] ** 2 + imaginary[i] ** 2) * scale + 1e-12);
    }
  }
}

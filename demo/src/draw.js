// The picture: a waveform and a spectrogram above one another, on one time axis, with the words marked.

import { Spectrum } from "./spectrum.js";

const WINDOW = 256; // samples of the Fourier transform
const MOST_COLUMNS = 800;
const RANGE = 52; // dB of the spectrogram, below the loudest
const FAINTEST = -70; // dB; in a silent room the loudest sound is noise, which must not look like speech
const LEFT = 44; // px for the labels of the frequency axis
const BOTTOM = 30; // px for those of the time axis
const TOP = 24; // px for the digits above their words
const GAP = 8;

/** @typedef {{start: number, end: number, label: string}} Mark a word's place, in s since the picture's sound began */

export class Picture {
  /**
   * @param {HTMLCanvasElement} canvas whose CSS properties --ink, --faint, --line, --accent, --low, --mid, --high colour it
   * @param {number} rate samples a second
   */
  constructor(canvas, rate) {
    this.canvas = canvas;
    this.rate = rate;
    this.spectrum = new Spectrum(WINDOW);
    this.image = document.createElement("canvas"); // one pixel a column and frequency
    this.live(4);
    new ResizeObserver(() => this.redraw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.drawn = -Infinity; // when it was last drawn
    this.redraw();
  }

  /** Show the last few seconds from now on. */
  live(seconds) {
    this.scrolls = true;
    this.#clear(seconds, this.rate / 100);
  }

  /** Show a whole recording. */
  whole(samples) {
    this.scrolls = false;
    this.#clear(samples.length / this.rate, Math.max(this.rate / 100, Math.ceil(samples.length / MOST_COLUMNS)));
    this.samples.set(samples);
    this.received = samples.length;
    for (let column = 0; column < this.columns; column += 1) this.#column(column);
    this.redraw();
  }

  /** Further samples at the right edge, while live. */
  push(samples) {
    this.samples.copyWithin(0, samples.length);
    this.samples.set(samples, this.samples.length - samples.length);
    this.received += samples.length;
    const due = Math.floor(this.received / this.hop) - Math.floor((this.received - samples.length) / this.hop);
    this.levels.copyWithin(0, due * this.bins);
    for (let column = this.columns - due; column < this.columns; column += 1) this.#column(column);
    const first = this.received / this.rate - this.seconds;
    this.marks = this.marks.filter((mark) => mark.end > first);
    this.redraw();
  }

  /** @param {Mark} mark */
  mark(mark) {
    this.marks.push(mark);
    this.redraw();
  }

  /** Draw as soon as the screen is ready; twice a second at most where motion is not wanted. */
  redraw() {
    if (this.waiting) return;
    this.waiting = true;
    const pause = this.calm?.matches ? Math.max(0, this.drawn + 500 - performance.now()) : 0;
    setTimeout(
      () =>
        requestAnimationFrame(() => {
          this.waiting = false;
          this.drawn = performance.now();
          this.#draw();
        }),
      pause,
    );
  }

  #clear(seconds, hop) {
    this.seconds = seconds;
    this.hop = hop;
    this.bins = WINDOW / 2;
    this.samples = new Float32Array(Math.round(seconds * this.rate));
    this.columns = Math.max(1, Math.floor(this.samples.length / hop));
    this.levels = new Float32Array(this.columns * this.bins).fill(-120);
    this.received = 0;
    this.marks = [];
  }

  #column(column) {
    const centre = this.samples.length - (this.columns - column - 0.5) * this.hop;
    const start = Math.min(Math.round(centre - WINDOW / 2), this.samples.length - WINDOW);
    const at = column * this.bins;
    this.spectrum.levels(this.samples, start, this.levels.subarray(at, at + this.bins));
  }

  #draw() {
    const { canvas } = this;
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!width) return;
    const scale = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    pen.font = `12px ${style.fontFamily}`;
    const inner = height - TOP - BOTTOM - GAP;
    const wave = { x: LEFT, y: TOP, width: width - LEFT - 1, height: Math.round(inner * 0.36) };
    const spectrogram = { ...wave, y: wave.y + wave.height + GAP, height: inner - Math.round(inner * 0.36) };
    this.#drawSpectrogram(pen, spectrogram, colour);
    this.#drawMarks(pen, wave, colour, style.fontFamily);
    this.#drawWave(pen, wave, colour);
    this.#drawAxes(pen, wave, spectrogram, colour);
  }

  #drawWave(pen, box, colour) {
    const middle = box.y + box.height / 2;
    let loudest = 0.05;
    for (const sample of this.samples) loudest = Math.max(loudest, Math.abs(sample));
    const gain = box.height / 2 / loudest;
    const step = this.samples.length / box.width;
    pen.fillStyle = colour("accent");
    for (let x = 0; x < box.width; x += 1) {
      let [low, high] = [0, 0];
      for (let at = Math.floor(x * step); at < (x + 1) * step; at += 1) {
        low = Math.min(low, this.samples[at]);
        high = Math.max(high, this.samples[at]);
      }
      pen.fillRect(box.x + x, middle - high * gain - 0.5, 1, (high - low) * gain + 1);
    }
  }

  #drawSpectrogram(pen, box, colour) {
    const { image, columns, bins, levels } = this;
    let loudest = FAINTEST + RANGE / 2;
    for (const level of levels) loudest = Math.max(loudest, level);
    const ramp = colourRamp([colour("low"), colour("mid"), colour("high")]);
    image.width = columns;
    image.height = bins;
    const brush = image.getContext("2d");
    const pixels = brush.createImageData(columns, bins);
    const words = new Uint32Array(pixels.data.buffer);
    for (let column = 0; column < columns; column += 1) {
      for (let bin = 0; bin < bins; bin += 1) {
        const part = (levels[column * bins + bin] - loudest) / RANGE + 1;
        words[(bins - 1 - bin) * columns + column] = ramp[Math.max(0, Math.min(255, Math.round(part * 255)))];
      }
    }
    brush.putImageData(pixels, 0, 0);
    pen.imageSmoothingQuality = "high";
    pen.drawImage(image, box.x, box.y, box.width, box.height);
  }

  #drawMarks(pen, wave, colour, family) {
    const first = this.scrolls ? this.received / this.rate - this.seconds : 0;
    const place = (seconds) => wave.x + ((seconds - first) / this.seconds) * wave.width;
    pen.textAlign = "center";
    pen.textBaseline = "alphabetic";
    pen.font = `600 15px ${family}`;
    let free = 0; // px; on a phone the words of a long recording leave no room for every label
    for (const { start, end, label } of this.marks) {
      const from = Math.max(wave.x, place(start));
      const to = Math.min(wave.x + wave.width, place(end));
      if (to <= from) continue;
      pen.fillStyle = colour("word");
      pen.fillRect(from, wave.y, to - from, wave.height);
      pen.fillStyle = colour("ink");
      pen.fillRect(from, wave.y - 2, to - from, 2);
      const [middle, half] = [(from + to) / 2, pen.measureText(label).width / 2];
      if (middle - half < free) continue;
      pen.fillText(label, middle, wave.y - 8);
      free = middle + half + 2;
    }
    pen.font = `12px ${family}`;
  }

  #drawAxes(pen, wave, spectrogram, colour) {
    pen.strokeStyle = colour("line");
    pen.lineWidth = 1;
    for (const box of [wave, spectrogram]) pen.strokeRect(box.x - 0.5, box.y - 0.5, box.width + 1, box.height + 1);
    pen.fillStyle = colour("faint");
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    const top = this.rate / 2000; // kHz
    const step = top > 5 ? 2 : 1;
    for (let kilohertz = 0; kilohertz <= top; kilohertz += step) {
      const y = spectrogram.y + spectrogram.height * (1 - kilohertz / top);
      pen.fillRect(wave.x - 4, Math.round(y) - 0.5, 4, 1);
      const inside = Math.max(spectrogram.y + 6, Math.min(spectrogram.y + spectrogram.height - 6, y));
      pen.fillText(kilohertz + step > top ? `${kilohertz} kHz` : String(kilohertz), wave.x - 7, inside);
    }
    pen.textAlign = "center";
    pen.textBaseline = "top";
    const begin = this.scrolls ? -this.seconds : 0;
    const most = Math.max(2, Math.floor(wave.width / 80));
    const wide = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20].find((each) => this.seconds / each <= most) ?? 30;
    const bottom = spectrogram.y + spectrogram.height;
    for (let tick = Math.ceil(begin / wide); tick * wide <= begin + this.seconds + 1e-9; tick += 1) {
      const seconds = tick * wide;
      const x = wave.x + ((seconds - begin) / this.seconds) * wave.width;
      pen.fillRect(Math.round(x) - 0.5, bottom, 1, 4);
      const number = String(Math.round(seconds * 10) / 10).replace("-", "−");
      const text = this.scrolls && tick === 0 ? "now" : `${number} s`;
      const half = pen.measureText(text).width / 2;
      pen.fillText(text, Math.min(wave.x + wave.width - half, Math.max(half, x)), bottom + 8);
    }
  }
}

/** 256 colours between the given ones (#rrggbb), as pixels of an image. */
function colourRamp(colours) {
  const stops = colours.map((text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)));
  return Uint32Array.from({ length: 256 }, (_, index) => {
    const place = (index / 255) * (stops.length - 1);
    const from = Math.min(stops.length - 2, Math.floor(place));
    const [red, green, blue] = stops[from].map((low, i) => Math.round(low + (stops[from + 1][i] - low) * (place - from)));
    return (255 << 24) | (blue << 16) | (green << 8) | red;
  });
}

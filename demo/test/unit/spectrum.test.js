import assert from "node:assert/strict";
import { test } from "node:test";
import { Spectrum } from "../../src/spectrum.js";

test("a full-scale sine is 0 dB at its own frequency and little elsewhere", () => {
  const samples = Float32Array.from({ length: 256 }, (_, i) => Math.sin((2 * Math.PI * 32 * i) / 256));
  const levels = new Float32Array(128);
  new Spectrum(256).levels(samples, 0, levels);
  assert.ok(Math.abs(levels[32]) < 0.1, String(levels[32]));
  levels.forEach((level, bin) => assert.ok(Math.abs(bin - 32) < 2 || level < -60, `bin ${bin}: ${level}`));
});

test("levels match the formula of the Fourier transform", () => {
  const samples = Float32Array.from({ length: 40 }, (_, i) => Math.sin(i * i) / 2);
  const levels = new Float32Array(8);
  new Spectrum(16).levels(samples, 30, levels); // the window reaches beyond the end: silence
  for (let bin = 0; bin < 8; bin += 1) {
    let [real, imaginary] = [0, 0];
    for (let i = 0; i < 16; i += 1) {
      const value = (samples[30 + i] ?? 0) * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / 16));
      real += value * Math.cos((2 * Math.PI * bin * i) / 16);
      imaginary -= value * Math.sin((2 * Math.PI * bin * i) / 16);
    }
    const wanted = 10 * Math.log10((real ** 2 + imaginary ** 2) / 16 + 1e-12);
    assert.ok(Math.abs(levels[bin] - wanted) < 0.01, `bin ${bin}`);
  }
});

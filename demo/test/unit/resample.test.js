import assert from "node:assert/strict";
import { test } from "node:test";
import { Resampler } from "../../src/resample.js";

const sine = (hertz, rate, seconds) => Float32Array.from({ length: rate * seconds }, (_, i) => Math.sin((2 * Math.PI * hertz * i) / rate));

for (const [from, to] of [[48000, 8000], [44100, 8000], [44100, 16000], [8000, 48000]]) {
  test(`${from} to ${to} Hz: a tone is preserved`, () => {
    const result = new Resampler(from, to).push(sine(1000, from, 0.5));
    const wanted = sine(1000, to, 0.5);
    assert.ok(Math.abs(result.length - wanted.length) <= 0.01 * to, String(result.length));
    for (let i = 50; i < result.length - 50; i += 1) assert.ok(Math.abs(result[i] - wanted[i]) < 0.01, `sample ${i}`);
  });
}

test("frequencies that the lower rate cannot represent are removed", () => {
  const result = new Resampler(48000, 8000).push(sine(6000, 48000, 0.5));
  assert.ok(Math.max(...result.subarray(50)) < 0.01);
});

test("the size of the blocks makes no difference", () => {
  const samples = sine(700, 44100, 0.3);
  const whole = new Resampler(44100, 8000).push(samples);
  const resampler = new Resampler(44100, 8000);
  const parts = [];
  for (let at = 0; at < samples.length; at += 441) parts.push(...resampler.push(samples.subarray(at, at + 441)));
  assert.equal(parts.length, whole.length);
  parts.forEach((value, index) => assert.ok(Math.abs(value - whole[index]) < 1e-5));
});

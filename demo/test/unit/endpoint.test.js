import assert from "node:assert/strict";
import { test } from "node:test";
import { Endpointer, cut } from "../../src/endpoint.js";
import { noise } from "../wav.js";

const RATE = 8000;

/** Sound of `seconds` in noise, with tones as words: [start, end, amplitude], in s. */
function sound(seconds, words, { noiseLevel = -60, hum = 0 } = {}) {
  const samples = noise(seconds * RATE, noiseLevel);
  for (let i = 0; i < samples.length; i += 1) samples[i] += hum * Math.sin((2 * Math.PI * 50 * i) / RATE);
  for (const [start, end, amplitude = 0.1] of words) {
    for (let i = Math.round(start * RATE); i < end * RATE; i += 1) samples[i] += amplitude * Math.sin(i);
  }
  return samples;
}

/** All words, when the sound comes in blocks of a size. */
function hear(samples, block = 128) {
  const pointer = new Endpointer(RATE);
  const words = [];
  for (let at = 0; at < samples.length; at += block) words.push(...pointer.push(samples.subarray(at, at + block)));
  return words;
}

const near = (value, wanted, by = 0.04) => assert.ok(Math.abs(value - wanted) <= by, `${value} is not about ${wanted}`);

test("words are found at their places", () => {
  const words = hear(sound(4, [[0.8, 1.2], [1.7, 2.3], [2.8, 3.1]]));
  assert.equal(words.length, 3);
  [[0.8, 1.2], [1.7, 2.3], [2.8, 3.1]].forEach(([start, end], index) => {
    near(words[index].start, start);
    near(words[index].end, end);
    assert.equal(words[index].tooLong, false);
  });
});

test("a word includes a little of the sound before and after it", () => {
  const [word] = hear(sound(2, [[0.8, 1.2]]));
  near(word.samples.length / RATE, 0.06 + 0.4 + 0.06, 0.06);
});

test("the size of the blocks makes no difference", () => {
  const samples = sound(3, [[0.8, 1.2], [1.8, 2.2]]);
  const whole = hear(samples, samples.length);
  assert.equal(whole.length, 2);
  for (const block of [1, 80, 128, 441]) assert.deepEqual(hear(samples, block), whole);
});

test("a word is reported 0.2 s after its end", () => {
  const samples = sound(2, [[0.8, 1.2]]);
  const pointer = new Endpointer(RATE);
  let at = 0;
  while (pointer.push(samples.subarray(at, at + 80)).length === 0) at += 80;
  near((at + 80) / RATE, 1.2 + 0.19, 0.03);
});

test("a stop closure within a word does not end it", () => {
  assert.equal(hear(sound(2, [[0.8, 1.0], [1.12, 1.3]])).length, 1);
});

test("clicks, rumble and silence are not words", () => {
  assert.deepEqual(hear(sound(2, [[0.8, 0.815, 0.9], [1.2, 1.26]])), []);
  assert.deepEqual(hear(sound(3, [], { hum: 0.01 })), []);
  assert.deepEqual(hear(new Float32Array(3 * RATE)), []);
  assert.deepEqual(hear(noise(3 * RATE, -80)), []);
});

test("the noise floor adapts: a fan that starts is one sound, and words are found above its noise", () => {
  const samples = sound(9, [[7, 7.4, 0.2]]);
  noise(6.5 * RATE, -40, 5).forEach((value, index) => (samples[2.5 * RATE + index] += value));
  const words = hear(samples);
  assert.equal(words.length, 2);
  near(words[1].start, 7);
});

test("words 10 dB above the noise are found, and none in the noise itself", () => {
  const places = Array.from({ length: 20 }, (_, index) => [1 + index, 1.4 + index, Math.sqrt(2) * 10 ** (-30 / 20)]);
  assert.equal(hear(sound(22, places, { noiseLevel: -40 })).length, 20);
  assert.deepEqual(hear(noise(120 * RATE, -40)), []);
});

test("flush ends a word: speech after it is another word", () => {
  const [first, second] = [sound(1.1, [[0.8, 1.1]]), sound(1, [[0, 0.3]])];
  const pointer = new Endpointer(RATE);
  assert.deepEqual(pointer.push(first), []);
  assert.equal(pointer.flush().length, 1);
  assert.equal(pointer.push(second).length, 1);
});

test("a sound without a pause is cut after three seconds and marked as too long", () => {
  const voice = sound(6, []);
  for (let i = RATE; i < 6 * RATE; i += 1) voice[i] += 10 ** ((i / RATE - 6) / 2) * Math.sin(i);
  const [word] = hear(voice);
  assert.equal(word.tooLong, true);
  near(word.end - word.start, 3, 0.05);
});

test("flush returns a word that the end of the recording cuts off", () => {
  const pointer = new Endpointer(RATE);
  assert.deepEqual(pointer.push(sound(1.2, [[0.8, 1.2]])), []);
  assert.equal(pointer.inWord, true);
  assert.equal(pointer.flush().length, 1);
  assert.deepEqual(pointer.flush(), []);
});

test("other sample rates", () => {
  const samples = new Float32Array(2 * 16000).map((_, i) => (i > 16000 && i < 24000 ? 0.1 * Math.sin(i / 3) : 1e-4 * Math.sin(i)));
  const [word] = new Endpointer(16000).push(samples);
  near(word.start, 1);
  near(word.end, 1.5);
});

test("a recording may begin and end within speech", () => {
  assert.deepEqual(cut(sound(2, [[0, 0.4], [1.5, 2]]), RATE).map((word) => Math.round(word.start * 10)), [0, 15]);
});

test("a clip without a pause is one word, a long one is none", () => {
  const [word, ...others] = cut(sound(0.4, [[0, 0.4]]), RATE);
  assert.deepEqual(others, []);
  assert.equal(word.samples.length, 0.4 * RATE);
  assert.deepEqual(cut(noise(5 * RATE, -40), RATE), []);
  assert.equal(cut(new Float32Array(10).fill(0.1), RATE).length, 1);
});

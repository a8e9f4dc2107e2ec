import assert from "node:assert/strict";
import { test } from "node:test";
import { StringListener } from "../../src/strings.js";

const RATE = 8000;

/** A stream that hears a digit in every second. */
class Digits {
  facts = { sample_rate: RATE };
  beam = { pending: false };
  received = 0;

  get seconds() {
    return this.received / RATE;
  }

  async push(samples) {
    const start = this.seconds;
    this.received += samples.length;
    return [{ digit: 7, probability: 1, start, end: start + 0.5 }];
  }

  flush = async () => [];
}

/** What a listener hears in so many seconds, and its longest tape in s. */
async function listen(seconds) {
  const strings = [];
  const listener = new StringListener(new Digits(), { digit() {}, string: (string) => strings.push(string) });
  let longest = 0;
  for (let second = 0; second < seconds; second += 1) {
    await listener.push(new Float32Array(RATE).fill(second));
    longest = Math.max(longest, listener.tape.length / RATE);
  }
  await listener.flush();
  return { strings, longest };
}

test("a string comes with its sound", async () => {
  const { strings } = await listen(11);
  assert.deepEqual(strings.map(({ digits }) => digits), ["7".repeat(11)]);
  assert.equal(strings[0].samples.length / RATE, 10 + 0.5 + 0.2);
});

test("of a string without an end, the sound of the last minute is kept", async () => {
  const { strings, longest } = await listen(300);
  assert.deepEqual(strings.map(({ digits }) => digits), ["7".repeat(300)]);
  assert.ok(longest <= 61, `${longest} s`);
  const [first, last] = [strings[0].samples.at(0), strings[0].samples.at(-1)];
  assert.deepEqual([first, last], [239, 299]);
});

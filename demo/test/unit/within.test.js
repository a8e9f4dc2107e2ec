import assert from "node:assert/strict";
import { test } from "node:test";
import { within } from "../../src/within.js";

test("a result in time is returned, a late one is an error", async () => {
  assert.equal(await within(1, Promise.resolve(7)), 7);
  await assert.rejects(within(1, Promise.reject(new TypeError("wrong"))), /wrong/);
  await assert.rejects(within(0.01, new Promise(() => {})), /within 0.01 s/);
});

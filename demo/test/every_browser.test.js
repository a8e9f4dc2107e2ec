// The built page in Chromium, Firefox and WebKit as they are installed. What is in browser.test.js is tested in Chromium
// alone, with its own microphone; here the page's microphone is a stream that a sound card of any sample rate would give.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import axe from "axe-core";
import { DIST, Host } from "./host.js";
import { Browser, BROWSERS, KEYS, whyNot } from "./webdriver.js";
import { RATE, clip, compose, wav } from "./wav.js";
import { Resampler } from "../src/resample.js";

const SPOKEN = ["7_lucas_2", "2_lucas_2", "4_george_1", "0_jackson_0", "8_lucas_0", "3_theo_0", "5_yweweler_1"];
const DIGITS = SPOKEN.map((name) => name[0]).join(" ");
const GROWTH = 10; // MB at most, between 20 and 60 minutes, whose sound alone is 77
const SCREENSHOTS = process.env.SCREENSHOTS; // a folder for screenshots

const clips = SPOKEN.map(clip);
const noClips = clips.includes(null) && "the clips of the course are not available (set SDR_SPEECH_DATA to their folder)";
const names = process.env.BROWSER ? [process.env.BROWSER] : Object.keys(BROWSERS);

/** In the page: a sound card of this rate, whose microphone plays a file of the host again and again. */
function soundCard(rate) {
  const Real = (window.RealContext ??= window.AudioContext);
  window.AudioContext = class extends Real {
    constructor(options) {
      super({ sampleRate: rate, ...options });
      window.rates = [...(window.rates ?? []), this.sampleRate];
    }
  };
  navigator.mediaDevices.getUserMedia = async () => {
    const context = new Real({ sampleRate: rate });
    const source = context.createBufferSource();
    source.buffer = await context.decodeAudioData(await (await fetch("./microphone.wav")).arrayBuffer());
    const microphone = context.createMediaStreamDestination();
    source.loop = true; // on a machine that is too busy, sound has gaps: one round without any is enough
    source.connect(microphone);
    source.start();
    return (window.stream = microphone.stream);
  };
}

/** In the page: choose a file of the host, under another name. */
async function give(address, name) {
  const transfer = new DataTransfer();
  transfer.items.add(new File([await (await fetch(address)).arrayBuffer()], name));
  const input = document.querySelector("#file");
  input.files = transfer.files;
  input.dispatchEvent(new Event("change"));
}

/** In the page: the user says no. */
function refuse() {
  navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("no", "NotAllowedError"));
}

/** In the page: no sound card at all; what it would play into the page is given by `hear`. */
function feed() {
  navigator.mediaDevices.getUserMedia = async () => new AudioContext().createMediaStreamDestination().stream;
  window.AudioWorkletNode = function (context) {
    window.captured = Object.assign(context.createGain(), { port: {} });
    return window.captured;
  };
}

/** In the page: seconds of sound at once, from a file at the model's rate, that goes round. */
async function hear(seconds) {
  const { port, context } = window.captured;
  window.wave ??= (await context.decodeAudioData(await (await fetch("./microphone.wav")).arrayBuffer())).getChannelData(0);
  window.heard ??= 0;
  const block = context.sampleRate / 100;
  for (let second = 0; second < seconds; second += 1) {
    for (let count = 0; count < 100; count += 1, window.heard += block) {
      const at = window.heard % (window.wave.length - block);
      port.onmessage({ data: window.wave.slice(at, at + block) });
    }
    await new Promise((resolve) => setTimeout(resolve)); // the model answers
  }
}

/** In the page: how much of it is in use, in MB. Chromium alone tells that, and collects the garbage. */
function memory() {
  globalThis.gc();
  return performance.memory.usedJSHeapSize / 1e6;
}

const shows = (selector, text) => document.querySelector(selector).textContent.includes(text);
const digitsAre = (digits) => document.querySelector("[data-digits]").textContent === digits;
const text = (selector) => document.querySelector(selector).textContent;
const focus = () => document.activeElement.id || document.activeElement.textContent;

/** In the page: what is wider than the screen. */
function overflowing() {
  const width = document.documentElement.clientWidth;
  const wide = [...document.body.querySelectorAll("*")].filter((each) => each.getBoundingClientRect().right > width + 1);
  return [...wide.map((each) => each.outerHTML.slice(0, 80)), ...(document.documentElement.scrollWidth > width ? ["the page"] : [])];
}

for (const name of names) {
  const skip = whyNot(name) || noClips;
  describe(`the page in ${name}`, { skip, timeout: 900_000 }, () => {
    const host = new Host();
    let browser;
    let silent = false; // why nothing can be played here

    before(async () => {
      assert.ok(existsSync(join(DIST, "model/digits.onnx")), "put the model into public/model, then npm run build");
      host.replaced.set("/microphone.wav", wav(compose(clips), RATE));
      host.replaced.set("/several.wav", wav(new Resampler(RATE, 44100).push(compose(clips)), 44100, 2));
      host.replaced.set("/notes.wav", Buffer.from("these are my notes\n".repeat(99)));
      host.replaced.set("/narrow.html", Buffer.from('<!doctype html><title>A phone</title><iframe src="./" style="width: 360px; height: 740px; border: 0"></iframe>'));
      await host.start();
      browser = await Browser.start(name);
      await open(browser);
      await browser.click("h1"); // browsers play nothing before
      const plays = () => Promise.race([new AudioContext().resume().then(() => true), new Promise((done) => setTimeout(done, 5000, false))]);
      silent = !(await browser.run(plays)) && `${name} needs a sound card, or a sound server without one`;
    });
    after(async () => {
      await browser?.close();
      await host.stop();
    });

    /** The page anew, ready; with another path, the page in its frame. */
    async function open(where, path = "") {
      await where.open(host.address + path);
      if (path) await where.frame(0);
      await where.until(() => document.querySelector("#listen")?.disabled === false, [], 60);
      await where.run(() => {
        window.faults = [];
        window.onerror = (message) => window.faults.push(message);
        window.onunhandledrejection = ({ reason }) => window.faults.push(String(reason));
      });
    }

    async function listen() {
      await browser.click("#listen");
      await browser.until(shows, ["#listen-text", "Stop listening"]);
    }

    async function look(where, title) {
      if (!SCREENSHOTS) return;
      mkdirSync(SCREENSHOTS, { recursive: true });
      writeFileSync(join(SCREENSHOTS, `${title}-${name}.png`), await where.picture());
    }

    async function accessible(where) {
      await new Promise((resolve) => setTimeout(resolve, 400)); // transitions end
      const { violations } = await where.run(`${axe.source}; return axe.run();`);
      assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`), []);
    }

    for (const rate of [44100, 48000, 96000]) {
      test(`it recognises spoken digits from a sound card at ${rate / 1000} kHz`, async (t) => {
        if (silent) return t.skip(silent);
        await open(browser);
        await browser.run(soundCard, rate);
        await listen();
        await browser.until(shows, ["[data-digits]", DIGITS], 60);
        t.diagnostic(`${browser.version}: sample rates ${await browser.run(() => window.rates.join(", "))}`);
        await look(browser, `listening-${rate}`);
        await browser.click("#listen");
        await browser.until(shows, ["#listen-text", "Start listening"]);
        assert.deepEqual(await browser.run(() => window.faults), []);
      });
    }

    for (const dark of [false, true]) {
      test(`${dark ? "dark" : "light"}: axe finds nothing, and nothing is wider than a phone's screen`, async () => {
        const where = dark ? await Browser.start(name, { dark }) : browser;
        try {
          await open(where);
          assert.equal(await where.run(() => matchMedia("(prefers-color-scheme: dark)").matches), dark);
          await accessible(where);
          for (const path of ["", "narrow.html"]) {
            await open(where, path);
            await where.run(give, "./several.wav", "several.wav");
            await where.until(digitsAre, [DIGITS]);
            await look(where, `file${path && "-narrow"}-${dark ? "dark" : "light"}`);
            await accessible(where);
            assert.deepEqual(await where.run(overflowing), []);
            await where.run(give, "./notes.wav", `${"notes".repeat(30)}.wav`);
            await where.until(shows, ["#problem", "is not a sound file that this browser can read."]);
            await look(where, `error${path && "-narrow"}-${dark ? "dark" : "light"}`);
            await accessible(where);
            assert.deepEqual(await where.run(overflowing), []);
            assert.deepEqual(await where.run(() => window.faults), []);
          }
        } finally {
          if (dark) await where.close();
          else await where.frame(null);
        }
      });
    }

    test("by keyboard alone", async (t) => {
      if (silent) return t.skip(silent);
      await open(browser);
      await browser.run(soundCard, 48000);
      await browser.press(KEYS.tab);
      assert.equal(await browser.run(focus), "listen");
      assert.equal(await browser.run(() => getComputedStyle(document.activeElement).outlineStyle), "solid");
      await browser.press(KEYS.enter);
      await browser.until(shows, ["#listen-text", "Stop listening"]);
      await browser.until(shows, ["[data-digits]", DIGITS.slice(0, 3)], 40);
      await browser.press(KEYS.escape);
      await browser.until(shows, ["#listen-text", "Start listening"]);
      assert.equal(await browser.run(focus), "listen");
      await browser.press(KEYS.space);
      await browser.until(shows, ["#listen-text", "Stop listening"]);
      await browser.press(KEYS.space);
      await browser.until(shows, ["#listen-text", "Start listening"]);
      await browser.press(KEYS.tab);
      assert.equal(await browser.run(focus), "open");
      await browser.press(KEYS.tab);
      assert.equal(await browser.run(() => document.activeElement.value), "digits"); // of the two modes, the chosen one
      await browser.press(KEYS.tab);
      assert.equal(await browser.run(focus), "Clear");
      const play = async () => (await browser.press(KEYS.tab), browser.run(focus));
      assert.ok((await play()) === "Play" || (await play()) === "Play"); // the list itself may be scrolled by keys
      await browser.run(() => document.querySelector("[data-clear]").focus());
      await browser.press(KEYS.enter);
      assert.equal(await browser.run(focus), "history-title");
      assert.deepEqual(await browser.run(() => window.faults), []);
    });

    test("a device that vanishes is reported, and may come back", async (t) => {
      if (silent) return t.skip(silent);
      await open(browser);
      await browser.run(soundCard, 48000);
      await listen();
      await browser.run(() => window.stream.getTracks().forEach((track) => track.dispatchEvent(new Event("ended"))));
      await browser.until(shows, ["#problem", "The microphone was disconnected. Plug it in and start again."]);
      await browser.until(shows, ["#listen-text", "Start listening"]);
      assert.equal(await browser.run(text, "#status"), "Not listening.");
      await listen();
      assert.equal(await browser.run(text, "#problem"), "");
      await browser.until(shows, ["[data-digits]", DIGITS], 60);
      await browser.click("#listen");
    });

    test("it goes on listening in a tab in the background", async (t) => {
      if (silent) return t.skip(silent);
      await open(browser);
      await browser.run(soundCard, 48000);
      await browser.run(() => document.addEventListener("visibilitychange", () => (window.wasHidden ||= document.hidden)));
      const [here, { handle }] = [await browser.tab(), await browser.newTab()];
      await browser.show(here);
      await listen();
      await browser.show(handle);
      await new Promise((resolve) => setTimeout(resolve, 12_000)); // a round
      const words = await browser.show(here).then(() => browser.run(() => document.querySelectorAll("#history li").length));
      if (!(await browser.run(() => window.wasHidden))) return t.skip(`${name} hides no tab here`);
      assert.ok(words >= SPOKEN.length - 1, `${words} words`);
      assert.equal(await browser.run(text, "#problem"), "");
      await browser.click("#listen");
    });

    test("a refused microphone", async () => {
      const refusing = await Browser.start(name, { refuse: true });
      try {
        await open(refusing);
        if (name === "WebKit") await refusing.run(refuse); // its driver cannot be told to
        await refusing.click("#listen");
        await refusing.until(() => document.querySelector("#problem").textContent);
        assert.ok(await refusing.run(shows, "#problem", "The browser was not allowed to use the microphone."));
        await refusing.until(shows, ["#listen-text", "Start listening"]);
        await refusing.run(give, "./several.wav", "several.wav"); // which needs no microphone
        await refusing.until(digitsAre, [DIGITS]);
      } finally {
        await refusing.close();
      }
    });

    test("an hour of listening takes no more memory than its first twenty minutes", async (t) => {
      if (silent) return t.skip(silent);
      await open(browser);
      if (!(await browser.run(() => Boolean(performance.memory)))) return t.skip(`${name} does not tell how much it takes`);
      await browser.run(feed);
      await listen();
      const taken = []; // MB, every twenty minutes
      const settled = async () => {
        const values = []; // what is still being worked on, or not collected yet, comes on top: the least is what stays
        for (let attempt = 0; attempt < 5; attempt += 1) {
          await new Promise((resolve) => setTimeout(resolve, 400));
          values.push(await browser.run(memory));
        }
        return Math.min(...values);
      };
      for (let minute = 1; minute <= 60; minute += 1) {
        await browser.run(hear, 60);
        if (minute % 20 === 0) taken.push(await settled());
      }
      t.diagnostic(`${browser.version}: ${taken.map((each) => each.toFixed(1)).join(", ")} MB after 20, 40 and 60 minutes`);
      assert.equal(await browser.run(() => document.querySelectorAll("#history li").length), 100); // the last ones are kept
      assert.ok(taken[2] - taken[0] < GROWTH);
      await browser.run(() => void (window.kept = new Float32Array(4e6).fill(1)));
      assert.ok((await settled()) - taken[2] > GROWTH, "16 MB of sound are not noticed");
    });

    test("it works with the network off", async () => {
      await open(browser);
      await browser.run(() => navigator.serviceWorker.ready.then(() => {}));
      const address = host.address;
      await host.stop();
      try {
        await browser.open(address);
        await browser.until(() => document.querySelector("#listen")?.disabled === false, [], 60);
      } finally {
        await host.start();
      }
    });
  });
}

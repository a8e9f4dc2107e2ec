// The built page in a real browser, with a microphone that plays real clips. Needs Chromium, the clips and a build.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import axe from "axe-core";
import { chromium } from "playwright-core";
import { DIST, Host } from "./host.js";
import { RATE, clip, compose, noise, wav, writeForMicrophone } from "./wav.js";

const CHROMIUM = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const SPOKEN = ["7_lucas_2", "2_lucas_2", "4_george_1", "0_jackson_0", "8_lucas_0", "3_theo_0", "5_yweweler_1"];
const DIGITS = SPOKEN.map((name) => name[0]).join(" ");
const SCREENSHOTS = process.env.SCREENSHOTS; // a folder for screenshots

const executablePath = CHROMIUM.find((path) => path && existsSync(path));
const clips = SPOKEN.map(clip);
const missing =
  (!executablePath && "Chromium is not available (set CHROMIUM to its path)") ||
  (clips.includes(null) && "the clips of the course are not available (set SDR_SPEECH_DATA to their folder)");
if (!missing) {
  for (const file of ["index.html", "model/digits.onnx", "model/digits.json", "model/strings.onnx", "model/strings.json"]) {
    assert.ok(existsSync(join(DIST, file)), `dist/${file} is missing: put the model into public/model, then npm run build`);
  }
}

/**
 * Runs in the page: listens to the microphone's raw stream beside the page, and notes how long after the last loud
 * moment that arrived there each answer is on the screen.
 */
function measureDelay() {
  window.late = [];
  let lastLoud;
  const getUserMedia = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const stream = await getUserMedia(wanted);
    const track = stream.getAudioTracks()[0].clone();
    const blocks = new MediaStreamTrackProcessor({ track }).readable;
    (async () => {
      for await (const block of blocks) {
        const samples = new Float32Array(block.numberOfFrames);
        block.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
        block.close();
        if (samples.some((sample) => Math.abs(sample) > 0.008)) lastLoud = performance.now();
      }
    })();
    return stream;
  };
  const note = () => window.late.push(performance.now() - lastLoud);
  const answered = () => requestAnimationFrame(() => requestAnimationFrame(note)); // the first one's frame is drawn
  new MutationObserver(answered).observe(document.querySelector("#history ol"), { childList: true });
}

/** Runs in the page: nobody answers whether it may use the microphone until `allow` is called. */
function askUser() {
  const getUserMedia = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  const allowed = new Promise((resolve) => (window.allow = resolve));
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    await allowed;
    return (window.stream = await getUserMedia(wanted));
  };
}

describe("the page", { skip: missing, timeout: 240_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "digits-"));
  const host = new Host();
  const composed = missing ? null : compose(clips);
  const browsers = [];

  /** A browser whose microphone plays `samples` once, or that has none. */
  async function launch(samples, mayListen = true) {
    const microphone = samples && [
      "--use-fake-device-for-media-stream",
      `--use-file-for-fake-audio-capture=${writeForMicrophone(join(folder, `${browsers.length}.wav`), samples)}`,
    ];
    const browser = await chromium.launch({
      executablePath,
      args: [
        ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
        ...["--disable-component-update", "--disable-sync", "--mute-audio"],
        ...(microphone || []),
        ...(mayListen ? ["--use-fake-ui-for-media-stream"] : []),
      ],
    });
    browsers.push(browser);
    return browser;
  }

  /** The page in a new profile, ready. What it asks of other hosts, and what goes wrong in it, is an error. */
  async function open(browser, options = {}, ready = true) {
    const context = await browser.newContext({ viewport: { width: 1180, height: 900 }, ...options });
    const page = await context.newPage();
    page.faults = [];
    page.on("pageerror", (error) => page.faults.push(error.message));
    page.on("console", (message) => message.type() === "error" && page.faults.push(message.text()));
    page.on("request", (request) => {
      if (!request.url().startsWith(host.address) && !request.url().startsWith("blob:")) page.faults.push(request.url());
    });
    await page.goto(host.address);
    if (ready) await page.locator("#listen:enabled").waitFor({ timeout: 20_000 });
    return page;
  }

  const recognised = (page, digits, timeout = 20_000) =>
    page.waitForFunction((wanted) => document.querySelector("[data-digits]").textContent === wanted, digits, { timeout });
  const listen = (page) => page.getByRole("button", { name: "Start listening" }).click();
  const problem = (page, text, timeout = 10_000) =>
    page.locator("#problem", { hasText: text }).waitFor({ timeout });
  const give = (page, name, buffer) => page.locator("#file").setInputFiles({ name, mimeType: "audio/wav", buffer });
  const look = async (page, name) => {
    if (!SCREENSHOTS) return;
    mkdirSync(SCREENSHOTS, { recursive: true });
    await page.waitForTimeout(600);
    await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
  };

  async function accessible(page) {
    await page.waitForTimeout(300); // transitions end
    const found = await page.evaluate(`${axe.source}; axe.run()`).then((result) => result.violations);
    assert.deepEqual(found.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`), []);
  }

  let browser; // whose microphone plays the seven words
  before(async () => {
    await host.start();
    browser = await launch(composed);
  });
  after(async () => {
    await Promise.all(browsers.map((each) => each.close()));
    await host.stop();
    rmSync(folder, { recursive: true });
  });

  test("its first load is at most 15 MB, everything kept for offline use included", async (t) => {
    host.sent = 0;
    const page = await open(browser);
    await page.evaluate(() => navigator.serviceWorker.ready);
    t.diagnostic(`first load: ${(host.sent / 1e6).toFixed(2)} MB`);
    assert.ok(host.sent <= 15e6);
    await look(page, "idle-light");
    await accessible(page);
    assert.deepEqual(page.faults, []);
    await page.context().close();
  });

  test("it recognises spoken digits in time", async (t) => {
    const page = await open(browser, { permissions: ["microphone"] });
    await page.evaluate(measureDelay);
    await listen(page);
    await page.getByRole("button", { name: "Stop listening" }).waitFor();
    await page.locator("#history li").nth(2).waitFor({ timeout: 15_000 });
    await look(page, "listening-light");
    await recognised(page, DIGITS);
    await page.waitForTimeout(100);
    const late = await page.evaluate(() => window.late);
    t.diagnostic(`on the screen after the end of each word: ${late.map(Math.round).join(", ")} ms`);
    const median = late.sort((a, b) => a - b)[late.length >> 1];
    t.diagnostic(`median: ${Math.round(median)} ms`);
    assert.equal(late.length, SPOKEN.length);
    assert.ok(median <= 300);
    const best = page.locator("#bars .best");
    assert.equal(await best.locator("th").textContent(), "5");
    assert.match(await page.locator("#status").textContent(), /^Five, \d+\s%$/);
    assert.match(await page.locator("#picture").getAttribute("aria-label"), /Words in it: .*5\./);
    await accessible(page);

    await page.getByRole("button", { name: /^Play five/ }).click();
    await page.getByRole("button", { name: "Stop listening" }).click();
    await page.getByRole("button", { name: "Start listening" }).waitFor();
    await page.getByRole("button", { name: "Clear" }).click();
    assert.equal(await page.locator("#history li").count(), 0);
    assert.equal(await page.locator("[data-digits]").textContent(), "");
    assert.deepEqual(page.faults, []);
    await page.context().close();
  });

  test("a browser that keeps the microphone's own sample rate, as Firefox 140 does", async () => {
    const page = await open(browser, { permissions: ["microphone"] });
    await page.evaluate(() => {
      const Real = window.AudioContext;
      window.AudioContext = class extends Real {
        constructor(options) {
          if (options?.sampleRate) throw new DOMException("not that rate", "NotSupportedError");
          super(options);
        }
      };
    });
    await listen(page);
    await recognised(page, DIGITS);
    assert.deepEqual(page.faults, []);
    await page.context().close();
  });

  test("it reads a file with several words, in the dark, and the model takes at most 10 ms", async (t) => {
    const page = await open(browser, { colorScheme: "dark" });
    await give(page, "several.wav", wav(composed, RATE));
    await recognised(page, DIGITS);
    await page.locator("#status", { hasText: `7 words: ${DIGITS}` }).waitFor();
    await look(page, "file-dark");
    await accessible(page);
    const times = [];
    for (let round = 0; round < 5; round += 1) {
      for (const path of clips) {
        await page.evaluate(() => delete document.querySelector("#timing").dataset.ms);
        await give(page, "one.wav", readFileSync(path));
        await page.locator("#timing[data-ms]").waitFor();
        times.push(Number(await page.locator("#timing").getAttribute("data-ms")));
      }
    }
    const median = times.sort((a, b) => a - b)[times.length >> 1];
    t.diagnostic(`the model's median time: ${median.toFixed(2)} ms (${times.length} words, ${times[0].toFixed(2)} to ${times.at(-1).toFixed(2)})`);
    assert.ok(median <= 10);
    assert.deepEqual(page.faults, []);
    await page.context().close();
  });

  test("phone numbers, spoken with hardly a pause, and from a file", async (t) => {
    const quick = compose(clips, { pause: 0.15 });
    const spoken = Float32Array.from([...noise(2 * RATE, -60), ...quick, ...noise(5 * RATE, -60)]);
    const page = await open(await launch(spoken), { permissions: ["microphone"] });
    await page.getByRole("radio", { name: /phone numbers/ }).check();
    await accessible(page);
    await give(page, "quick.wav", wav(quick, RATE));
    await recognised(page, DIGITS.replaceAll(" ", ""));
    await page.locator("#status", { hasText: `${DIGITS}, each at least` }).waitFor();
    await page.getByRole("button", { name: "Clear" }).click();
    await page.evaluate(() => {
      window.shown = []; // what the numeral showed
      const note = () => window.shown.push(document.querySelector("#numeral").textContent);
      new MutationObserver(note).observe(document.querySelector("#numeral"), { childList: true });
    });
    await listen(page);
    await page.locator("#status", { hasText: "Listening. Say a phone number." }).waitFor();
    await page.waitForFunction(() => window.shown.some((digits) => digits.length === 5));
    await look(page, "string-light");
    await recognised(page, DIGITS.replaceAll(" ", ""));
    const shown = await page.evaluate(() => window.shown);
    assert.ok(shown.includes("72") && shown.includes("724"), shown.join()); // digits appear one after another
    await page.locator("#status", { hasText: `${DIGITS}, each at least` }).waitFor();
    await page.getByRole("button", { name: /^Play seven two four zero eight three five/ }).waitFor();
    assert.match(await page.locator("#history .percent").textContent(), /^each ≥ \d+\s%$/);
    await accessible(page);
    await page.setViewportSize({ width: 360, height: 740 });
    const lines = await page.locator("#history .digit, #history .percent").evaluateAll((cells) =>
      cells.map((cell) => Math.round(cell.clientHeight / parseFloat(getComputedStyle(cell).lineHeight))));
    assert.deepEqual(lines, [1, 1]); // on a phone, neither is broken into lines
    await look(page, "string-phone");
    assert.deepEqual(page.faults, []);
    await page.context().close();
  });

  test("bad files are refused in plain words, and the page keeps working", async () => {
    const page = await open(browser);
    await give(page, "notes.wav", Buffer.from("these are my notes\n".repeat(99)));
    await problem(page, "“notes.wav” is not a sound file that this browser can read.");
    await look(page, "error-light");
    await accessible(page);
    await give(page, "empty.wav", Buffer.alloc(0));
    await problem(page, "“empty.wav” is empty.");
    await give(page, "none.wav", wav(new Float32Array(0), RATE));
    await problem(page, "none.wav”");
    await give(page, "short.wav", wav(noise(5, -20), RATE));
    await problem(page, "“short.wav” is shorter than any word.");
    await give(page, "silent.wav", wav(new Float32Array(RATE), RATE));
    await problem(page, "“silent.wav” contains only silence.");
    await give(page, "long.wav", wav(noise(121 * RATE, -30), RATE));
    await problem(page, "“long.wav” is longer than 120 seconds.");
    const nan = wav(new Float32Array(2 * RATE), RATE);
    nan.writeUInt16LE(3, 20); // samples of 32 bits in floating point,
    nan.writeUInt32LE(4 * RATE, 28);
    nan.writeUInt16LE(4, 32);
    nan.writeUInt16LE(32, 34);
    nan.fill(0xff, 44); // each of them not a number
    await give(page, "nan.wav", nan);
    await problem(page, "“nan.wav” ");
    await give(page, "cut.wav", readFileSync(clips[0]).subarray(0, 30));
    await problem(page, "“cut.wav” is not a sound file");
    await page.evaluate((content) => {
      const transfer = new DataTransfer();
      const files = { "a.wav": [], "b.wav": content, "c.wav": [] };
      for (const [name, bytes] of Object.entries(files)) transfer.items.add(new File([new Uint8Array(bytes)], name));
      document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, dataTransfer: transfer }));
    }, [...readFileSync(clips[0])]);
    await problem(page, "“a.wav” is empty. “c.wav” is empty.");
    await recognised(page, DIGITS[0]);
    assert.equal(await page.locator("#numeral").textContent(), "–"); // the answer to b.wav is not one to c.wav
    await page.getByRole("button", { name: "Clear" }).click();
    await give(page, "hiss.wav", wav(noise(4 * RATE, -40), RATE));
    await page.locator("#status", { hasText: "No word was found in “hiss.wav”." }).waitFor();
    assert.equal(await page.locator("#problem").textContent(), "");
    assert.equal(await page.locator("#numeral").textContent(), "–");
    await give(page, "stereo.wav", wav(composed, RATE, 2));
    await recognised(page, DIGITS);
    assert.deepEqual(page.faults, []);
    await page.context().close();
  });

  test("a dropped file is read", async () => {
    const page = await open(browser);
    const bytes = [...readFileSync(clips[0])];
    const dropped = await page.evaluateHandle((content) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([new Uint8Array(content)], "dropped.wav", { type: "audio/wav" }));
      return transfer;
    }, bytes);
    await page.dispatchEvent("body", "dragover", { dataTransfer: dropped });
    await page.locator("#drop").waitFor();
    await page.dispatchEvent("body", "drop", { dataTransfer: dropped });
    await recognised(page, DIGITS[0]);
    assert.equal(await page.locator("#drop").isVisible(), false);
    await page.context().close();
  });

  test("a browser's own recording is read, although its header has no length", async () => {
    const page = await open(browser);
    await page.evaluate(async (content) => {
      const context = new AudioContext();
      const source = context.createBufferSource();
      source.buffer = await context.decodeAudioData(new Uint8Array(content).buffer);
      const tape = context.createMediaStreamDestination();
      source.connect(tape);
      const recorder = new MediaRecorder(tape.stream);
      const written = new Promise((resolve) => (recorder.ondataavailable = ({ data }) => resolve(data)));
      recorder.start();
      source.start(context.currentTime + 0.3);
      setTimeout(() => recorder.stop(), 1500);
      const transfer = new DataTransfer();
      transfer.items.add(new File([await written], "recorded.webm"));
      document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, dataTransfer: transfer }));
    }, [...readFileSync(clips[0])]);
    await recognised(page, DIGITS[0]);
    assert.deepEqual(page.faults, []);
    await page.context().close();
  });

  test("a file and the microphone at the same time: the last request wins", async () => {
    const page = await open(browser, { permissions: ["microphone"] });
    const both = (listenFirst) =>
      page.evaluate(
        ([content, first]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(content)], "one.wav"));
          const drop = () => document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, dataTransfer: transfer }));
          const press = () => document.querySelector("#listen").click();
          for (const act of first ? [press, press, drop] : [drop, press, press]) act();
        },
        [[...readFileSync(clips[0])], listenFirst],
      );
    await both(true);
    await recognised(page, DIGITS[0]);
    await page.getByRole("button", { name: "Start listening" }).waitFor();
    assert.match(await page.locator("#picture").getAttribute("aria-label"), /“one.wav”/);
    await both(false);
    await page.getByRole("button", { name: "Stop listening" }).waitFor();
    assert.equal(await page.locator("#status").textContent(), "Listening. Say a digit.");
    assert.match(await page.locator("#picture").getAttribute("aria-label"), /the last 4 seconds\. Words in it: none/);
    assert.deepEqual(page.faults, []);
    await page.context().close();
  });

  test("a microphone that pauses, disconnects or never starts is not shown as listening", async () => {
    const page = await open(browser, { permissions: ["microphone"] });
    await page.evaluate(() => {
      const Real = window.AudioContext;
      window.AudioContext = class extends Real {
        constructor(options) {
          super(options);
          window.context = this;
        }
      };
    });
    const start = page.getByRole("button", { name: "Start listening" });
    await listen(page);
    await page.getByRole("button", { name: "Stop listening" }).waitFor();
    await page.evaluate(() => window.context.suspend());
    await problem(page, "The browser has paused the microphone. Start again.");
    await start.waitFor();
    assert.equal(await page.locator("#status").textContent(), "Not listening.");
    assert.deepEqual(page.faults, []);

    await page.evaluate(() => {
      window.resume = AudioContext.prototype.resume;
      AudioContext.prototype.resume = () => new Promise(() => {});
    });
    await listen(page);
    assert.equal(await start.getAttribute("aria-disabled"), "true");
    assert.equal(await page.evaluate(() => document.activeElement.id), "listen");
    await problem(page, "A microphone was found, but this browser cannot record from it.");
    assert.equal(await start.getAttribute("aria-disabled"), "false");

    await page.evaluate(() => {
      AudioContext.prototype.resume = async function () {
        await window.resume.call(this);
        Object.defineProperty(MediaStreamTrack.prototype, "readyState", { value: "ended" });
      };
    });
    await listen(page);
    await problem(page, "The microphone was disconnected.");
    await start.waitFor();
    await page.context().close();
  });

  test("playing a word keeps the focus, and ends even if the browser never reports the end", async () => {
    const page = await open(browser);
    await give(page, "one.wav", readFileSync(clips[0]));
    await recognised(page, DIGITS[0]);
    await page.evaluate(() => (AudioBufferSourceNode.prototype.start = () => {}));
    const button = page.getByRole("button", { name: /^Play/ });
    await button.press("Enter");
    await page.locator("li button[aria-disabled]").waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Play");
    await page.locator("li button:not([aria-disabled])").waitFor({ timeout: 5000 });
    await page.context().close();
  });

  test("a sound that is not a digit is rejected, and its probabilities are shown", async () => {
    const page = await open(browser);
    const phase = (seconds) => 2 * Math.PI * 800 * seconds + 60 * Math.sin(2 * Math.PI * 4 * seconds);
    const siren = Float32Array.from({ length: RATE / 2 }, (_, i) => 0.3 * Math.sin(phase(i / RATE)));
    await give(page, "siren.wav", wav(siren, RATE));
    await page.locator("#status", { hasText: "That does not sound like a digit." }).waitFor();
    assert.equal(await page.locator("#history li").count(), 1);
    assert.equal(await page.locator("[data-digits]").textContent(), "");
    const percents = await page.locator("#bars .percent").allTextContents();
    assert.equal(percents.length, 10);
    assert.ok(percents.reduce((sum, text) => sum + parseInt(text), 0) <= 105, percents.join()); // the rest is "none"
    assert.deepEqual(page.faults, []);
    await page.context().close();
  });

  test("by keyboard alone, on a phone", async () => {
    const page = await open(browser, { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true, permissions: ["microphone"] });
    await look(page, "idle-phone");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.id), "listen");
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.equal(outline, "solid");
    await page.keyboard.press("Enter");
    await recognised(page, DIGITS.slice(0, 3), 15_000);
    await look(page, "listening-phone");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Start listening" }).waitFor();
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.id), "open");
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.equal(wide, 360);
    await accessible(page);
    assert.deepEqual(page.faults, []);
    await page.context().close();
  });

  test("with reduced motion nothing pulsates, and the picture changes twice a second", async () => {
    const page = await open(browser, { permissions: ["microphone"], reducedMotion: "reduce" });
    await page.evaluate(() => {
      window.drawn = 0;
      const { drawImage } = CanvasRenderingContext2D.prototype;
      CanvasRenderingContext2D.prototype.drawImage = function (...given) {
        window.drawn += 1;
        return drawImage.apply(this, given);
      };
    });
    await listen(page);
    await recognised(page, DIGITS.slice(0, 3), 15_000);
    const seconds = await page.evaluate(() => performance.now() / 1000);
    assert.ok((await page.evaluate(() => window.drawn)) <= 2 * seconds + 1);
    assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
    await page.context().close();
  });

  test("a new build is used at once, and another copy on the same host keeps its own files", async () => {
    const page = await open(browser);
    await page.waitForFunction(() => navigator.serviceWorker.controller);
    host.replaced.set("/", Buffer.from("<title>anew</title>"));
    await page.goto(host.address);
    assert.equal(await page.title(), "anew");
    host.replaced.clear();
    await page.goto(host.address.replace("/some/folder/", "/copy/"));
    await page.waitForFunction(() => navigator.serviceWorker.controller);
    const kept = await page.evaluate(() => caches.keys());
    assert.deepEqual(kept.map((name) => name.split(" ")[1]).sort(), ["/copy/", "/some/folder/"]);
    await page.context().close();
  });

  test("it works with the network off", async () => {
    const page = await open(browser, { permissions: ["microphone"] });
    await page.evaluate(() => navigator.serviceWorker.ready);
    await page.context().setOffline(true);
    await host.stop();
    try {
      page.faults.length = 0;
      await page.reload();
      await page.locator("#listen:enabled").waitFor({ timeout: 20_000 });
      await listen(page);
      await recognised(page, DIGITS.slice(0, 1), 15_000);
      await page.getByRole("button", { name: "Stop listening" }).click();
      const other = await page.context().newPage();
      await other.goto(`${host.address}index.html`);
      await other.locator("#listen:enabled").waitFor({ timeout: 20_000 });
    } finally {
      await page.context().close();
      await host.start();
    }
  });

  test("a silent microphone is reported", async () => {
    const page = await open(await launch(new Float32Array(20 * RATE)), { permissions: ["microphone"] });
    await listen(page);
    await problem(page, "No sound is coming in. Is the microphone muted?");
    assert.equal(await page.locator("#history li").count(), 0);
    assert.deepEqual(page.faults, []);
  });

  test("sound without a word is not taken for a muted microphone", async () => {
    const page = await open(await launch(noise(20 * RATE, -60)), { permissions: ["microphone"] });
    await listen(page);
    await page.getByRole("button", { name: "Stop listening" }).waitFor();
    await page.waitForTimeout(6000);
    assert.equal(await page.locator("#problem").textContent(), "");
    assert.equal(await page.locator("#history li").count(), 0);
    assert.deepEqual(page.faults, []);
  });

  test("a missing microphone, and a denied one", async () => {
    const without = await open(await launch(null));
    await listen(without);
    await problem(without, "There is no microphone on this device.");
    await give(without, "one.wav", readFileSync(clips[0]));
    await recognised(without, DIGITS[0]);
    assert.equal(await without.locator("#problem").textContent(), "");
    assert.deepEqual(without.faults, []);

    const refused = await open(await launch(composed, false), { permissions: [] });
    await refused.context().grantPermissions([]);
    await listen(refused);
    await problem(refused, "The browser was not allowed to use the microphone.");
    await refused.getByRole("button", { name: "Start listening" }).waitFor();
    assert.deepEqual(refused.faults, []);
  });

  test("a network that fails is not taken for a missing model", async () => {
    const page = await open(browser, { serviceWorkers: "block" });
    await page.route("**/model/digits.onnx", (route) => route.abort());
    await page.reload();
    await problem(page, "Part of this page did not load. Reload it.");
    await page.unroute("**/model/digits.onnx");
    await page.reload();
    await page.locator("#listen:enabled").waitFor();
    await page.context().close();
  });

  test("a microphone that is still being asked for does not listen in the mode that was left", async () => {
    const page = await open(browser, { permissions: ["microphone"] });
    await page.evaluate(askUser);
    await listen(page);
    await page.getByRole("radio", { name: /phone numbers/ }).check();
    await page.evaluate(() => window.allow());
    await page.locator("#status", { hasText: "Not listening." }).waitFor();
    await page.getByRole("button", { name: "Start listening" }).waitFor();
    assert.deepEqual(page.faults, []);
    await page.context().close();
  });

  test("a file is answered while the browser asks for the microphone, which is then left off", async () => {
    const page = await open(browser, { permissions: ["microphone"] });
    await page.evaluate(askUser);
    await listen(page);
    await give(page, "one.wav", readFileSync(clips[0]));
    await recognised(page, DIGITS[0]);
    await page.locator("#listen[aria-disabled=false]").waitFor();
    await page.evaluate(() => window.allow());
    await page.waitForFunction(() => window.stream?.getTracks().every(({ readyState }) => readyState === "ended"));
    await page.getByRole("button", { name: "Start listening" }).waitFor();
    assert.match(await page.locator("#picture").getAttribute("aria-label"), /“one.wav”/);
    await listen(page); // allowed by now
    await page.getByRole("button", { name: "Stop listening" }).waitFor();
    assert.deepEqual(page.faults, []);
    await page.context().close();
  });

  test("a model that is missing or damaged", async () => {
    host.gone.add("/model/digits.onnx");
    const page = await open(browser, { serviceWorkers: "block" }, false);
    await problem(page, "Run “make demo”");
    assert.equal(await page.getByRole("button", { name: "Start listening" }).isDisabled(), true);
    host.gone.clear();
    host.replaced.set("/model/digits.onnx", Buffer.from("not a model"));
    await page.reload();
    await problem(page, "The model file cannot be read.", 20_000);
    host.replaced.clear();
    await page.reload();
    await page.locator("#listen:enabled").waitFor();
    await page.context().close();
  });
});

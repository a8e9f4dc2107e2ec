// Sound files in, and sound out of the loudspeaker.

import { Problem } from "./problem.js";
import { within } from "./within.js";

const SHORTEST = 0.1; // s
const LONGEST = 120; // s, as in Python's utils/inference/recogniser.py
const LARGEST = 100e6; // bytes; two minutes are less in any usual format

/**
 * Read a sound file.
 * @param {File} file of any kind that the browser decodes
 * @param {number} rate samples a second to give
 * @returns {Promise<Float32Array>} one channel
 * @throws {Problem} in words that can be shown
 */
export async function readFile(file, rate) {
  const name = `“${file.name}”`;
  const notSound = new Problem(`${name} is not a sound file that this browser can read. Try WAV, MP3, OGG or FLAC.`);
  const tooLong = new Problem(`${name} is longer than ${LONGEST} seconds. Choose a shorter one.`);
  if (file.size === 0) throw new Problem(`${name} is empty.`);
  if (file.size > LARGEST || (await duration(file)) > LONGEST) throw tooLong;
  let decoded;
  try {
    decoded = await new OfflineAudioContext(1, 1, rate).decodeAudioData(await file.arrayBuffer());
  } catch {
    throw notSound;
  }
  if (decoded.duration > LONGEST) throw tooLong;
  const samples = new Float32Array(decoded.length);
  for (let channel = 0; channel < decoded.numberOfChannels; channel += 1) {
    decoded.getChannelData(channel).forEach((value, index) => (samples[index] += value / decoded.numberOfChannels));
  }
  if (!samples.every(Number.isFinite)) throw notSound;
  if (samples.length < SHORTEST * rate) throw new Problem(`${name} is shorter than any word.`);
  if (!samples.some((value) => Math.abs(value) > 1e-4)) throw new Problem(`${name} contains only silence.`);
  return samples;
}

/**
 * A file's length in s from its header alone, so that an hour of music is not decoded first; NaN if unknown, as for
 * a browser's own recordings (their headers contain Infinity), or if no header is read (iOS may not read it).
 */
function duration(file) {
  const player = document.createElement("audio");
  const address = URL.createObjectURL(file);
  const header = new Promise((resolve, reject) => {
    player.onloadedmetadata = () => resolve(Number.isFinite(player.duration) ? player.duration : NaN);
    player.onerror = reject;
    player.preload = "metadata";
    player.src = address;
    player.load();
  });
  const seconds = within(3, header).catch(() => NaN);
  return seconds.finally(() => URL.revokeObjectURL(address));
}

let loudspeaker;

/**
 * Play a piece of sound.
 * @param {Float32Array} samples
 * @param {number} rate samples a second
 * @returns {Promise<void>} when it has ended; an error where it does not
 */
export async function play(samples, rate) {
  loudspeaker ??= new AudioContext();
  await within(3, loudspeaker.resume());
  const buffer = loudspeaker.createBuffer(1, samples.length, rate);
  buffer.copyToChannel(samples, 0);
  const source = loudspeaker.createBufferSource();
  source.buffer = buffer;
  source.connect(loudspeaker.destination);
  const ended = new Promise((resolve) => (source.onended = resolve));
  source.start();
  await within(samples.length / rate + 1.5, ended);
}

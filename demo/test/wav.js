// WAV files for the tests: read, written, and composed of the course's clips with pauses and a little noise between.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Resampler } from "../src/resample.js";

const CLIPS = process.env.SDR_SPEECH_DATA ?? new URL("../../speech_data", import.meta.url).pathname;
export const RATE = 8000; // of the clips

/** The file of a clip, for example "7_lucas_2"; null if the clips are not available. */
export function clip(name) {
  const path = join(CLIPS, `${name}.wav`);
  return existsSync(path) ? path : null;
}

/** The samples of a WAV file of 16 bits and one channel. */
export function readWav(path) {
  const bytes = readFileSync(path);
  let at = 12;
  while (bytes.toString("latin1", at, at + 4) !== "data") at += 8 + bytes.readUInt32LE(at + 4);
  const data = bytes.subarray(at + 8, at + 8 + bytes.readUInt32LE(at + 4));
  return Float32Array.from({ length: data.length >> 1 }, (_, index) => data.readInt16LE(2 * index) / 32768);
}

/** A WAV file of 16 bits, the same in each channel. */
export function wav(samples, rate, channels = 1) {
  const bytes = Buffer.alloc(44 + 2 * channels * samples.length);
  bytes.write("RIFF");
  bytes.writeUInt32LE(bytes.length - 8, 4);
  bytes.write("WAVEfmt ", 8);
  bytes.writeUInt32LE(16, 16);
  bytes.writeUInt16LE(1, 20);
  bytes.writeUInt16LE(channels, 22);
  bytes.writeUInt32LE(rate, 24);
  bytes.writeUInt32LE(2 * channels * rate, 28);
  bytes.writeUInt16LE(2 * channels, 32);
  bytes.writeUInt16LE(16, 34);
  bytes.write("data", 36);
  bytes.writeUInt32LE(bytes.length - 44, 40);
  samples.forEach((sample, index) => {
    const value = Math.round(32767 * Math.max(-1, Math.min(1, sample)));
    for (let channel = 0; channel < channels; channel += 1) bytes.writeInt16LE(value, 44 + 2 * (channels * index + channel));
  });
  return bytes;
}

/** `count` samples of white noise of a level in dB of full scale, the same ones every time. */
export function noise(count, level, seed = 1) {
  let state = seed;
  const next = () => (state = (1664525 * state + 1013904223) >>> 0) / 2 ** 32 - 0.5;
  const gain = Math.sqrt(12) * 10 ** (level / 20);
  return Float32Array.from({ length: count }, () => gain * next());
}

/**
 * Clips one after another, each equally loud, in faint noise.
 * @param {string[]} paths
 * @param {{pause?: number, noiseLevel?: number}} [options] s between the clips; dB of full scale
 * @returns {Float32Array}
 */
export function compose(paths, { pause = 0.8, noiseLevel = -60 } = {}) {
  const clips = paths.map(readWav).map((samples) => {
    const gain = 0.05 / Math.sqrt(samples.reduce((sum, value) => sum + value ** 2, 0) / samples.length);
    return samples.map((value) => gain * value);
  });
  const gap = Math.round(pause * RATE);
  const samples = noise(clips.reduce((sum, each) => sum + each.length + gap, 2 * gap), noiseLevel);
  let at = 2 * gap;
  for (const each of clips) {
    each.forEach((value, index) => (samples[at + index] += value));
    at += each.length + gap;
  }
  return samples;
}

/** Write what the browser's fake microphone is to play, once. */
export function writeForMicrophone(path, samples) {
  const resampler = new Resampler(RATE, 48000);
  writeFileSync(path, wav(resampler.push(samples), 48000));
  return `${path}%noloop`;
}

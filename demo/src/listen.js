// The microphone: opened, brought to the model's sample rate, and cut into words as one speaks.

import { EndPointer } from "./endpoint.js";
import { Resampler } from "./resample.js";
import { Problem } from "./problem.js";
import workletUrl from "./worklet.js?url";

const NOTHING_HEARD = 5; // s without a word at the start, after which the page asks whether the microphone is muted

/**
 * What the page wants to know while it listens.
 * @typedef {object} Listener
 * @property {(samples: Float32Array) => void} sound at the model's rate, a few milliseconds
 * @property {(word: import("./endpoint.js").Word) => void} word has ended
 * @property {(speaking: boolean) => void} speaking a word has begun or ended
 * @property {() => void} silence nothing has been heard for a while
 * @property {(problem: Problem) => void} lost the microphone went away
 */

/** An open microphone. */
export class Microphone {
  /**
   * @param {number} rate the model's
   * @param {Listener} listener
   * @returns {Promise<Microphone>}
   * @throws {Problem} in words that can be shown
   */
  static async open(rate, listener) {
    if (!navigator.mediaDevices?.getUserMedia || !window.AudioWorkletNode) {
      throw new Problem(
        window.isSecureContext
          ? "This browser gives pages no microphone. A sound file works all the same."
          : "A browser gives the microphone only to pages that come over https or from this computer (localhost).",
      );
    }
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        // what is meant for telephone calls bends the sound that the model has learned
        audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false },
      });
    } catch (error) {
      throw whyRefused(error);
    }
    const microphone = new Microphone(stream, rate, listener);
    try {
      await microphone.#connect();
    } catch {
      await microphone.close();
      throw new Problem("The microphone is there, but this browser cannot read its sound.");
    }
    return microphone;
  }

  /** Sound that comes in while this is true is not listened to: the page itself is playing. */
  deaf = false;

  constructor(stream, rate, listener) {
    this.stream = stream;
    this.rate = rate;
    this.listener = listener;
    this.pointer = new EndPointer(rate);
    this.heard = 0; // samples at the model's rate
    this.heardAnyWord = false;
    this.speaking = false;
    stream.getAudioTracks()[0].addEventListener("ended", () => {
      listener.lost(new Problem("The microphone went away. Plug it in and start again."));
    });
  }

  async close() {
    for (const track of this.stream.getTracks()) track.stop();
    if (this.context && this.context.state !== "closed") await this.context.close();
  }

  async #connect() {
    try {
      this.context = new AudioContext({ sampleRate: this.rate, latencyHint: "interactive" });
      this.source = this.context.createMediaStreamSource(this.stream);
    } catch {
      // Firefox joins no stream and context of different rates
      await this.context?.close();
      this.context = new AudioContext({ latencyHint: "interactive" });
      this.source = this.context.createMediaStreamSource(this.stream);
    }
    await this.context.audioWorklet.addModule(workletUrl);
    const { sampleRate } = this.context;
    this.resampler = sampleRate === this.rate ? null : new Resampler(sampleRate, this.rate);
    const ear = new AudioWorkletNode(this.context, "ear", {
      numberOfOutputs: 0,
      channelCount: 1,
      channelCountMode: "explicit", // several channels become their mean
    });
    ear.port.onmessage = ({ data }) => this.#hear(data);
    this.source.connect(ear);
    await this.context.resume();
  }

  #hear(block) {
    if (this.deaf) return;
    const samples = this.resampler ? this.resampler.push(block) : block;
    const words = this.pointer.push(samples);
    this.heard += samples.length;
    this.listener.sound(samples);
    if (this.pointer.inWord !== this.speaking) {
      this.speaking = this.pointer.inWord;
      this.heardAnyWord ||= this.speaking;
      this.listener.speaking(this.speaking);
    }
    for (const word of words) this.listener.word(word);
    if (!this.heardAnyWord && this.heard >= NOTHING_HEARD * this.rate) {
      this.heardAnyWord = true; // say it once
      this.listener.silence();
    }
  }
}

function whyRefused(error) {
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return new Problem(
        "The browser was not allowed to use the microphone. Allow it in the address bar's site settings, then start again.",
      );
    case "NotFoundError":
    case "OverconstrainedError":
      return new Problem("I find no microphone on this device. A sound file works all the same.");
    case "NotReadableError":
    case "AbortError":
      return new Problem("The microphone is there but cannot be read; perhaps another program is using it.");
    default:
      return new Problem("The microphone could not be opened.");
  }
}

// The microphone: opened, resampled to the model's sample rate, and split into words while somebody speaks.

import { Endpointer } from "./endpoint.js";
import { Resampler } from "./resample.js";
import { Problem } from "./problem.js";
import { within } from "./within.js";
import workletUrl from "./worklet.js?url";

const SILENT = 5; // s of digital silence at the start, after which the page suggests that the microphone is muted

/**
 * Callbacks while the microphone is open.
 * @typedef {object} Listener
 * @property {(samples: Float32Array) => void} sound at the model's rate, a few milliseconds
 * @property {(word: import("./endpoint.js").Word) => void} word has ended
 * @property {(speaking: boolean) => void} speaking a word has begun or ended
 * @property {() => void} silence no sound has arrived for a while
 * @property {() => boolean} muted whether to ignore the microphone, because the page itself is playing
 * @property {(problem: Problem) => void} lost the microphone was disconnected, or the browser has paused it
 */

/**
 * Ask for the microphone. The browser may ask the user, who may take any time to answer.
 * @returns {Promise<MediaStream>} for `Microphone.open`, or to be released
 * @throws {Problem} in words that can be shown
 */
export async function askForMicrophone() {
  if (!navigator.mediaDevices?.getUserMedia || !window.AudioWorkletNode) {
    throw new Problem(
      window.isSecureContext
        ? "This browser gives web pages no access to a microphone. You can still open a sound file."
        : "Browsers allow the microphone only on pages loaded over https or from this computer (localhost).",
    );
  }
  try {
    return await navigator.mediaDevices.getUserMedia({
      // processing for telephone calls distorts the sound that the model was trained on
      audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    });
  } catch (error) {
    throw whyRefused(error);
  }
}

/** Turn the microphone off. */
export function release(stream) {
  for (const track of stream.getTracks()) track.stop();
}

/** An open microphone. */
export class Microphone {
  /**
   * @param {MediaStream} stream
   * @param {number} rate the model's
   * @param {Listener} listener
   * @returns {Promise<Microphone>}
   * @throws {Problem} in words that can be shown
   */
  static async open(stream, rate, listener) {
    const microphone = new Microphone(stream, rate, listener);
    try {
      await microphone.#connect();
      microphone.#watch();
    } catch (error) {
      await microphone.close();
      if (error instanceof Problem) throw error;
      throw new Problem("A microphone was found, but this browser cannot record from it.", { cause: error });
    }
    return microphone;
  }

  constructor(stream, rate, listener) {
    this.stream = stream;
    this.rate = rate;
    this.listener = listener;
    this.pointer = new Endpointer(rate);
    this.begun = false; // microphones may start with digital silence, which is no measure of the room
    this.speaking = false;
    this.closed = false;
  }

  async close() {
    this.closed = true;
    clearTimeout(this.silent);
    release(this.stream);
    if (!this.context || this.context.state === "closed") return;
    await within(3, this.context.close()).catch(console.error); // the microphone is off either way
  }

  async #connect() {
    try {
      this.context = new AudioContext({ sampleRate: this.rate, latencyHint: "interactive" });
      this.source = this.context.createMediaStreamSource(this.stream);
    } catch {
      // Firefox 140 cannot connect a stream and a context with different rates
      await this.context?.close();
      this.context = new AudioContext({ latencyHint: "interactive" });
      this.source = this.context.createMediaStreamSource(this.stream);
    }
    await this.context.audioWorklet.addModule(workletUrl);
    const { sampleRate } = this.context;
    this.resampler = sampleRate === this.rate ? null : new Resampler(sampleRate, this.rate);
    const capture = new AudioWorkletNode(this.context, "capture", {
      numberOfOutputs: 0,
      channelCount: 1,
      channelCountMode: "explicit", // several channels become their mean
    });
    capture.port.onmessage = ({ data }) => this.#process(data);
    this.source.connect(capture);
    await within(3, this.context.resume());
  }

  /** Report when sound stops: the device is unplugged or muted, or the browser pauses it (a call on a phone). */
  #watch() {
    const [track] = this.stream.getAudioTracks();
    const gone = new Problem("The microphone was disconnected. Plug it in and start again.");
    if (track.readyState === "ended") throw gone; // while it was being opened
    track.onended = () => this.listener.lost(gone);
    track.onmute = () => this.listener.silence();
    this.context.onstatechange = () => {
      if (this.closed || this.context.state === "running") return;
      this.listener.lost(new Problem("The browser has paused the microphone. Start again."));
    };
    // by the clock: if no sound arrives at all, there are no samples to count
    this.silent = setTimeout(() => this.begun || this.listener.silence(), 1000 * SILENT);
  }

  #process(block) {
    this.begun ||= block.some((sample) => sample !== 0);
    if (this.closed || !this.begun) return;
    const muted = this.listener.muted();
    const samples = this.resampler ? this.resampler.push(block) : block;
    // a word interrupted by playback ends here, or it would be joined to what is said afterwards
    const words = muted ? this.pointer.flush() : this.pointer.push(samples);
    if (!muted) this.listener.sound(samples);
    if (this.pointer.inWord !== this.speaking) {
      this.speaking = this.pointer.inWord;
      this.listener.speaking(this.speaking);
    }
    for (const word of words) this.listener.word(word);
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
      return new Problem("There is no microphone on this device. You can still open a sound file.");
    case "NotReadableError":
    case "AbortError":
      return new Problem("The microphone cannot be used; perhaps another program is using it.", {
        cause: error,
      });
    default:
      return new Problem("The microphone could not be opened.", { cause: error });
  }
}

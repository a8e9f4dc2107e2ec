// The microphone: its level all the time, and a recording on demand that ends by itself after a word.

const LONGEST = 6; // s of a recording
const ENDING = 0.7; // s of quiet after a word that end the recording
const LOUD = 12; // dB above the noise floor: speech
const FAINTEST = -55; // dB of full scale; anything below is not speech, however quiet the room
const REMEMBERED = 150; // blocks (3 s) that the noise floor is learned from
const CLIPPED = 0.999;

export class Microphone extends EventTarget {
  #context;
  #stream;
  #levels = []; // dB, of the last blocks
  #recording = null; // {blocks, speech, quiet}: s of speech so far, s of quiet since

  /** The sample rate in Hz. */
  get rate() {
    return this.#context.sampleRate;
  }

  /** The id of the device in use. */
  get device() {
    return this.#stream?.getAudioTracks()[0].getSettings().deviceId;
  }

  /**
   * Begin to listen.
   * @param {string} [deviceId] one of the browser's audio inputs, otherwise its default
   * @returns {Promise<boolean>} false if it was closed, or opened once more, before it was open
   * @throws {DOMException} if there is no microphone, or the speaker does not allow it
   */
  async open(deviceId) {
    this.close();
    const context = (this.#context = new AudioContext());
    const wanted = { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 };
    if (deviceId) wanted.deviceId = { exact: deviceId };
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: wanted });
      if (this.#context !== context) {
        stop(stream);
        return false;
      }
      this.#stream = stream;
      stream.getAudioTracks()[0].onended = () => this.dispatchEvent(new Event("lost"));
      await context.audioWorklet.addModule("worklet.js");
      const capture = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
      capture.port.onmessage = ({ data }) => this.#context === context && this.#hear(data);
      context.createMediaStreamSource(stream).connect(capture);
      await context.resume();
    } catch (error) {
      if (this.#context !== context) return false;
      this.close();
      throw error;
    }
    return this.#context === context;
  }

  /** Whether sound is coming in: not if it was unplugged, or could not be opened. */
  get live() {
    return this.#stream?.getAudioTracks()[0].readyState === "live" && this.#context.state === "running";
  }

  close() {
    this.#recording = null;
    if (this.#stream) stop(this.#stream);
    this.#context?.close();
    this.#stream = this.#context = null;
  }

  /** Begin a recording. The event "recorded" ends it. */
  start() {
    this.#recording = { blocks: [], speech: 0, quiet: 0 };
  }

  /** End the recording: dispatches "recorded" with its samples. */
  stop() {
    if (!this.#recording) return;
    const { blocks } = this.#recording;
    this.#recording = null;
    const samples = new Float32Array(blocks.reduce((sum, block) => sum + block.length, 0));
    let at = 0;
    for (const block of blocks) {
      samples.set(block, at);
      at += block.length;
    }
    this.dispatchEvent(new CustomEvent("recorded", { detail: samples }));
  }

  /** Give the recording up. */
  cancel() {
    this.#recording = null;
  }

  #hear(block) {
    let [peak, energy] = [0, 0];
    for (const sample of block) {
      peak = Math.max(peak, Math.abs(sample));
      energy += sample * sample;
    }
    const level = 10 * Math.log10(energy / block.length + 1e-10);
    this.#levels.push(level);
    if (this.#levels.length > REMEMBERED) this.#levels.shift();
    this.dispatchEvent(new CustomEvent("level", { detail: { peak: 20 * Math.log10(peak + 1e-5), clipped: peak >= CLIPPED } }));
    if (this.#recording) this.#extend(block, level);
  }

  #extend(block, level) {
    const recording = this.#recording;
    const seconds = block.length / this.rate;
    const floor = [...this.#levels].sort((a, b) => a - b)[Math.floor(this.#levels.length / 10)];
    recording.blocks.push(block);
    if (level > Math.max(floor + LOUD, FAINTEST)) {
      recording.speech += seconds;
      recording.quiet = 0;
    } else {
      recording.quiet += seconds;
    }
    const ended = recording.speech >= 0.1 && recording.quiet >= ENDING;
    if (ended || recording.blocks.length * seconds >= LONGEST) this.stop();
  }
}

function stop(stream) {
  for (const track of stream.getTracks()) track.stop();
}

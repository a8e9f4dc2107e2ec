// The models, each one ONNX file, run by onnxruntime's WebAssembly in this page: from the waveform of a word to ten
// probabilities, and from a sound, piece by piece, to the labels of its steps.

import * as ort from "onnxruntime-web/wasm";
import runtimeUrl from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import { Problem } from "./problem.js";
import { StringStream } from "./strings.js";

/**
 * The contents of `digits.json`.
 * @typedef {{name: string, sample_rate: number, threshold: number, parameters: number}} Facts
 *
 * The prediction for a word. `digit` is the most probable one; if `isDigit` is false, the word is rejected.
 * @typedef {{digit: number, probability: number, isDigit: boolean, probabilities: Float32Array, ms: number}} Answer
 */

export class Model {
  /**
   * @param {string} folder with digits.onnx, digits.json, strings.onnx and strings.json
   * @returns {Promise<Model>} ready to answer at once
   * @throws {Problem} in words that can be shown
   */
  static async load(folder) {
    const [facts, weights, stringFacts, stringWeights, runtime] = await Promise.all([
      ...["digits", "strings"].flatMap((name) => [
        get(`${folder}/${name}.json`).then((file) => file && file.json().catch(() => null)),
        get(`${folder}/${name}.onnx`).then((file) => file && file.arrayBuffer()),
      ]),
      get(runtimeUrl).then((file) => file && file.arrayBuffer()),
    ]).catch((cause) => {
      throw new Problem("Part of this page did not load. Reload it.", { cause });
    });
    if (!facts || !weights || !stringFacts || !stringWeights) throw new Problem("The model is missing. Run “make demo” to put it in place.");
    if (!runtime) throw new Problem("Part of this page did not load. Reload it.");
    if (!globalThis.WebAssembly) throw new Problem("This browser does not support WebAssembly, which the model needs.");
    try {
      ort.env.wasm.wasmBinary = await unpack(runtime);
      ort.env.wasm.numThreads = 1; // more threads need HTTP headers that simple static hosts do not send
      const session = await ort.InferenceSession.create(weights);
      const strings = { session: await ort.InferenceSession.create(stringWeights), facts: stringFacts };
      const model = new Model(session, facts, strings);
      const silence = new Float32Array(facts.sample_rate / 2);
      await model.recognise(silence); // the first run is slower than later ones
      await model.strings().push(silence);
      return model;
    } catch (error) {
      throw new Problem("The model file cannot be read. Run “make demo” again, or use a newer browser.", {
        cause: error,
      });
    }
  }

  constructor(session, facts, forStrings) {
    this.session = session;
    this.facts = facts;
    this.forStrings = forStrings;
  }

  /** @returns {StringStream} a new sound, at the rate of `facts` */
  strings() {
    const { session, facts } = this.forStrings;
    return new StringStream((...piece) => label(session, ...piece), facts);
  }

  /**
   * @param {Float32Array} samples a word at the model's rate
   * @returns {Promise<Answer>}
   */
  async recognise(samples) {
    const begin = performance.now();
    const waveform = new ort.Tensor("float32", samples, [1, samples.length]);
    const result = await this.session.run({ waveform });
    const ms = performance.now() - begin;
    const probabilities = result.probabilities.data;
    const probability = Math.max(...probabilities);
    const isDigit = probability >= this.facts.threshold;
    return { digit: probabilities.indexOf(probability), probability, isDigit, probabilities, ms };
  }
}

/** What is said at some steps of a piece of sound: a `Label` of strings.js. */
async function label(session, samples, frames, steps, state) {
  const indices = ([from, to]) => new ort.Tensor("int64", BigInt64Array.from({ length: to - from }, (_, i) => BigInt(from + i)));
  const result = await session.run({
    waveform: new ort.Tensor("float32", samples, [1, samples.length]),
    frames: indices(frames),
    steps: indices(steps),
    state: new ort.Tensor("float32", state, [1, 1, state.length]),
  });
  return { labels: result.labels.data, passed: result.passed.data, next: result.next.data };
}

/** @returns {Promise<Response | null>} null if it is not there; an error if there is no network */
async function get(address) {
  const answer = await fetch(address, { cache: "no-cache" }); // a model may be replaced by a new one
  return answer.ok ? answer : null;
}

/** The build compresses the runtime with gzip; the development server does not. */
async function unpack(bytes) {
  const [first, second] = new Uint8Array(bytes, 0, 2);
  if (first !== 0x1f || second !== 0x8b) return bytes;
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

// The model: one ONNX file from a waveform to ten probabilities, run by onnxruntime's WebAssembly in this very page.

import * as ort from "onnxruntime-web/wasm";
import runtimeUrl from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import { Problem } from "./problem.js";

/**
 * What `digits.json` says of the model.
 * @typedef {{name: string, sample_rate: number, threshold: number, parameters: number}} Facts
 *
 * What the model says of a word. `digit` is the most probable one; where `isDigit` is false it is none at all.
 * @typedef {{digit: number, probability: number, isDigit: boolean, probabilities: Float32Array, ms: number}} Answer
 */

export class Model {
  /**
   * @param {string} folder with digits.onnx and digits.json
   * @returns {Promise<Model>} ready to answer at once
   * @throws {Problem} in words that can be shown
   */
  static async load(folder) {
    const [facts, weights, runtime] = await Promise.all([
      get(`${folder}/digits.json`).then((file) => file && file.json().catch(() => null)),
      get(`${folder}/digits.onnx`).then((file) => file && file.arrayBuffer()),
      get(runtimeUrl).then((file) => file && file.arrayBuffer()),
    ]);
    if (!facts || !weights) throw new Problem("The model is not here. Run “make demo”: it puts it in its place.");
    if (!runtime) throw new Problem("A part of this page did not arrive. Load it again.");
    if (!globalThis.WebAssembly) throw new Problem("This browser has no WebAssembly, which the model needs.");
    try {
      ort.env.wasm.wasmBinary = await unpack(runtime);
      ort.env.wasm.numThreads = 1; // several would need headers that a plain host of static pages does not send
      const session = await ort.InferenceSession.create(weights);
      const model = new Model(session, facts);
      await model.recognise(new Float32Array(facts.sample_rate / 2)); // the first run is slower than all others
      return model;
    } catch (error) {
      throw new Problem("The model's file cannot be read here. Run “make demo” again, or use a newer browser.", {
        cause: error,
      });
    }
  }

  constructor(session, facts) {
    this.session = session;
    this.facts = facts;
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

/** @returns {Promise<Response | null>} null if it is not there */
async function get(address) {
  const answer = await fetch(address, { cache: "no-cache" }).catch(() => null); // a model may be replaced by a new one
  return answer?.ok ? answer : null;
}

/** The build packs the runtime by gzip; a development server gives it as it is. */
async function unpack(bytes) {
  const [first, second] = new Uint8Array(bytes, 0, 2);
  if (first !== 0x1f || second !== 0x8b) return bytes;
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

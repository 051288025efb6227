// The dualmode device engine in JavaScript: a streaming recogniser, in a browser, a Worker or Node.js, on one thread.
// Types and explanations are in engine.d.ts.

import { Engine, read } from "./wasm.js";

const WORD_SIZE = 32; // struct dualmode_word: a pointer, four bytes of padding, three doubles
const INFO = { size: 48, bins: 4 }; // struct dualmode_info: bytes, and where in it the bins are
const ENDPOINTS = [null, "silence", "nothing said", "too long"]; // as numbered in device.h

export class Model {
  #engine;
  #model;

  constructor(engine, model, bytes) {
    this.#engine = engine;
    this.#model = model;
    this.bytes = { engine: engine.bytes, model: bytes };
  }

  static async load(source, options = {}) {
    const [engine, bytes] = await Promise.all([Engine.start(options.wasm), read(source)]);
    const model = engine.lend(bytes, (at) => {
      if (!options.kernels) return engine.call("dualmode_model_open_memory", at, bytes.length, 0);
      const name = new TextEncoder().encode(`${options.kernels}\0`);
      return engine.lend(name, (kernels) => engine.call("dualmode_model_open_memory", at, bytes.length, kernels));
    });
    return new Model(engine, model, bytes.length);
  }

  stream() {
    return new Recognizer(this.#engine, this.#engine.call("dualmode_stream", this.#model), this.bytes);
  }
}

export class Recognizer {
  #engine;
  #stream;

  constructor(engine, stream, bytes) {
    this.#engine = engine;
    this.#stream = stream;
    this.bytes = bytes;
  }

  get #open() {
    if (!this.#stream) throw new Error("this Recognizer is closed");
    return this.#stream;
  }

  get kernels() {
    return this.#engine.string(this.#engine.c.dualmode_get_kernels(this.#open));
  }

  accept(samples, rate = 16000) {
    if (!(samples instanceof Float32Array)) throw new TypeError("expected samples as a Float32Array in [-1, 1]");
    if (!Number.isInteger(rate) || rate <= 0 || rate >= 2 ** 31)
      throw new TypeError(`expected a sample rate in whole Hz, not ${rate}`);
    const stream = this.#open;
    this.#engine.call("dualmode_set_rate", stream, rate);
    this.#engine.lend(samples, (at) => this.#engine.call("dualmode_accept_samples", stream, at, samples.length));
  }

  acceptFeatures(features, bins = 80) {
    if (!(features instanceof Float32Array)) throw new TypeError("expected features as a Float32Array");
    const stream = this.#open;
    const own = this.#bins(stream);
    if (bins !== own) throw new TypeError(`this model takes ${own} features a frame, not ${bins}`);
    if (features.length % bins) throw new TypeError(`expected whole frames of ${bins} features`);
    this.#engine.lend(features, (at) =>
      this.#engine.call("dualmode_accept_features", stream, at, features.length / bins),
    );
  }

  #bins(stream) {
    return this.#engine.lend(new Uint8Array(INFO.size), (at) => {
      this.#engine.c.dualmode_get_info(at, stream);
      return this.#engine.view().getInt32(at + INFO.bins, true);
    });
  }

  finish() {
    this.#engine.call("dualmode_finish", this.#open);
  }

  reset() {
    this.#engine.c.dualmode_reset(this.#open);
  }

  get text() {
    return this.#engine.string(this.#engine.c.dualmode_text(this.#open));
  }

  get words() {
    const { c, pointer } = this.#engine;
    const count = c.dualmode_words(this.#open, pointer);
    const view = this.#engine.view();
    const first = view.getUint32(pointer, true);
    return Array.from({ length: count }, (_, i) => {
      const at = first + i * WORD_SIZE;
      const stable = view.getFloat64(at + 24, true);
      return {
        text: this.#engine.string(view.getUint32(at, true)),
        startMs: view.getFloat64(at + 8, true),
        endMs: view.getFloat64(at + 16, true),
        stableMs: stable < 0 ? null : stable,
      };
    });
  }

  get startMs() {
    return this.#engine.c.dualmode_start_ms(this.#open);
  }

  get endMs() {
    return this.#engine.c.dualmode_end_ms(this.#open);
  }

  setEndpointing({ silenceMs = 1000, maxLeadMs = 5000, maxUtteranceMs = 30000 } = {}) {
    const rules = new Float64Array([silenceMs, maxLeadMs, maxUtteranceMs]);
    this.#engine.lend(rules, (at) => this.#engine.call("dualmode_set_endpointing", this.#open, at));
  }

  get endpoint() {
    return ENDPOINTS[this.#engine.c.dualmode_endpoint(this.#open)];
  }

  nextUtterance() {
    this.#engine.call("dualmode_next_utterance", this.#open);
  }

  close() {
    const stream = this.#stream;
    this.#stream = 0;
    if (stream) this.#engine.c.dualmode_free(stream);
  }
}

export async function load(source, options) {
  return (await Model.load(source, options)).stream();
}

/** What a file is read from: a URL, in Node.js also a path, or its bytes. */
export type Source = string | URL | ArrayBuffer | ArrayBufferView;

export interface Options {
  /** The engine; by default dualmode.wasm beside this module. */
  wasm?: Source;
  /** "simd128" (the default) or "portable", which is slow and for comparisons. */
  kernels?: "simd128" | "portable";
}

/** Times are in ms from the beginning of the audio on. */
export interface Word {
  readonly text: string;
  /** Beginning and end of the 40 ms frames in which the word's first and last token were put out. */
  readonly startMs: number;
  readonly endMs: number;
  /** How much audio had been heard when the word could not change any more; null while it still can. */
  readonly stableMs: number | null;
}

/** When an utterance ends by itself; silence is what no token is put out for. */
export interface Endpointing {
  /** Silence after the last token; 1000 by default. */
  silenceMs?: number;
  /** Silence before the first token; 5000 by default. */
  maxLeadMs?: number;
  /** Longest utterance; 30000 by default. */
  maxUtteranceMs?: number;
}

/** A device file (.dmdl) in memory, of which any number of streams share the weights. */
export class Model {
  /** Bytes that were loaded. */
  readonly bytes: { readonly engine: number; readonly model: number };
  /** Throws an Error with one sentence where a file cannot be read, or is damaged. */
  static load(source: Source, options?: Options): Promise<Model>;
  stream(): Recognizer;
}

/** One stream.  Methods that are used in a wrong order throw an Error with one sentence. */
export class Recognizer {
  private constructor();
  readonly bytes: { readonly engine: number; readonly model: number };
  readonly kernels: string;

  /** Takes more samples, in [-1, 1]; what is not 16 kHz is resampled.  The rate, in whole Hz, must stay until `reset`.
   * Throws an Error where samples are not finite or far outside of [-1, 1], or the rate is impossible. */
  accept(samples: Float32Array, rate?: number): void;
  /** Takes log-mel features instead, frames of 10 ms one after the other. */
  acceptFeatures(features: Float32Array, bins?: number): void;
  /** Decodes what is left at the end of the audio. */
  finish(): void;
  /** Forgets everything that was heard; endpointing stays. */
  reset(): void;

  /** What was recognised so far of the utterance; it grows chunk by chunk. */
  readonly text: string;
  readonly words: Word[];
  /** Where the utterance begins, and where it ended, or how far it was searched. */
  readonly startMs: number;
  readonly endMs: number;

  /** Lets utterances end by themselves; before anything was heard. */
  setEndpointing(rules?: Endpointing): void;
  /** Why the utterance has ended by itself, or null. */
  readonly endpoint: "silence" | "nothing said" | "too long" | null;
  /** Begins the utterance behind the one that ended, and decodes what was heard of it already. */
  nextUtterance(): void;

  /** Frees the stream's memory. */
  close(): void;
}

/** Loads a model and opens its only stream. */
export function load(source: Source, options?: Options): Promise<Recognizer>;

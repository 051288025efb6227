// A recogniser in a Worker, as events:
//
//   loaded     bytes: {engine, model}
//   words      words so far of the utterance; delays: [index, ms] of those that can change no more; heardMs, busyMs
//   utterance  the same, when it has ended, with text, startMs, endMs, endpoint; samples and rate, if audio is kept
//   finished   the audio's end
//   error      message, one sentence
//
// A server's second pass hears an utterance again: open the session with keepAudio and listen to "utterance".
export class Session extends EventTarget {
  #worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });

  constructor({ keepAudio = false } = {}) {
    super();
    this.keepAudio = keepAudio;
    this.#worker.onmessage = ({ data }) => this.dispatchEvent(new CustomEvent(data.type, { detail: data }));
    this.#worker.onerror = ({ message }) =>
      this.dispatchEvent(new CustomEvent("error", { detail: { message: message ?? "the engine's Worker cannot start" } }));
  }

  /** Loads a model, by its URL or its bytes; what was heard is forgotten. */
  load(model) {
    this.#worker.postMessage({ type: "load", model, keep: this.keepAudio });
  }

  /** Takes samples, a Float32Array, which must not be used afterwards. */
  accept(samples, rate) {
    this.#worker.postMessage({ type: "accept", samples, rate }, [samples.buffer]);
  }

  /** Ends the audio; what is accepted next is new audio. */
  finish() {
    this.#worker.postMessage({ type: "finish" });
  }
}

// Runs in the audio thread: hands on what a microphone delivers, 1024 samples at a time, and nothing else.
const PIECE = 1024;

class Capture extends AudioWorkletProcessor {
  #piece = new Float32Array(PIECE);
  #filled = 0;

  process([[channel]]) {
    for (let at = 0; channel && at < channel.length; ) {
      const part = channel.subarray(at, at + PIECE - this.#filled);
      this.#piece.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled < PIECE) break;
      this.port.postMessage(this.#piece, [this.#piece.buffer]);
      this.#piece = new Float32Array(PIECE);
      this.#filled = 0;
    }
    return true;
  }
}

registerProcessor("capture", Capture);

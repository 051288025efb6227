// What the server that sent this page does: a second pass over an utterance, and listening in the page's stead.

const RANGE = 32767; // of 16-bit samples
const ENDS = {
  idle: "the server ended the stream: it had heard nothing for too long",
  limit: "the server ended the stream: it takes no longer ones",
  stopping: "the server ended the stream: it is being stopped",
  none: "the server cannot be reached, or takes no more streams",
};

/** What the server says about itself, {token, second_pass}; null where the page is only files. */
export function served() {
  const content = document.querySelector("meta[name=server]")?.content;
  return content ? JSON.parse(content) : null;
}

function pcm(samples) {
  const bytes = new DataView(new ArrayBuffer(2 * samples.length));
  samples.forEach((x, i) => bytes.setInt16(2 * i, Math.round(RANGE * Math.max(-1, Math.min(1, x))), true));
  return bytes.buffer;
}

/** A WAV file, one channel of 16 bits. */
function wav(samples, rate) {
  const head = new DataView(new ArrayBuffer(44));
  const text = (at, word) => [...word].forEach((letter, i) => head.setUint8(at + i, letter.charCodeAt(0)));
  const size = 2 * samples.length;
  text(0, "RIFF");
  head.setUint32(4, 36 + size, true);
  text(8, "WAVEfmt ");
  head.setUint32(16, 16, true);
  head.setUint16(20, 1, true);
  head.setUint16(22, 1, true);
  head.setUint32(24, rate, true);
  head.setUint32(28, 2 * rate, true);
  head.setUint16(32, 2, true);
  head.setUint16(34, 16, true);
  text(36, "data");
  head.setUint32(40, size, true);
  return new Blob([head.buffer, pcm(samples)], { type: "audio/wav" });
}

function authorized(token) {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function answer(response) {
  if (response.ok) return response;
  const told = await response.json().catch(() => null);
  throw new Error(told?.error?.message ?? `${response.status} ${response.statusText}`);
}

/** Whether the server answers at all. */
export async function reachable() {
  return fetch("/healthz").then(
    () => true,
    () => false,
  );
}

/** Bytes of the server's model. */
export async function fetchModel(token) {
  return (await answer(await fetch("/model.dmdl", { headers: authorized(token) }))).arrayBuffer();
}

/** The dense half's text of an utterance. */
export async function hearAgain(samples, rate, token) {
  const form = new FormData();
  form.append("model", "dense");
  form.append("file", wav(samples, rate), "utterance.wav");
  const headers = authorized(token);
  return (await (await answer(await fetch("/v1/audio/transcriptions", { method: "POST", headers, body: form }))).json()).text;
}

/**
 * A recogniser on the server, for one microphone's or file's sound, with the events and methods of session.js; and
 *
 *   second     utterance, text of the dense half
 *
 * Words have delays if the sound comes as it is made (live); a file's comes at once.
 */
export class ServerSession extends EventTarget {
  #socket = null;
  #over = false; // one session, one stream
  #rate = 16000;
  #heardMs = 0;
  #stable = []; // how much had been sent when the utterance's words could not change any more, ms

  constructor(token, secondPass, live) {
    super();
    this.token = token;
    this.secondPass = secondPass;
    this.live = live;
  }

  accept(samples, rate) {
    if (this.#over) return;
    this.#rate = rate;
    this.#heardMs += (1000 * samples.length) / rate;
    this.#socket ??= this.#open();
    this.#send(pcm(samples));
  }

  finish() {
    if (this.#socket) this.#send('{"type": "finish"}');
    else this.#tell("finished", {});
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #send(data) {
    const socket = this.#socket;
    if (socket.readyState === WebSocket.OPEN) socket.send(data);
    else socket.waiting.push(data);
  }

  #open() {
    const url = new URL("/v1/stream", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    const hello = { sample_rate: this.#rate, format: "s16le", second_pass: this.secondPass };
    if (this.token) hello.token = this.token;
    socket.waiting = [JSON.stringify(hello)];
    let [reason, error] = ["", null];
    socket.onopen = () => socket.waiting.splice(0).forEach((data) => socket.send(data));
    socket.onmessage = ({ data }) => {
      const said = JSON.parse(data);
      if (said.type === "end") reason = said.reason;
      else if (said.type === "error") error = said.message;
      else this.#hear(said);
    };
    socket.onclose = () => {
      this.#socket = null;
      this.#over = true;
      if (reason !== "finished") this.#tell("error", { message: error ?? ENDS[reason] ?? ENDS.none });
      this.#tell("finished", {});
    };
    return socket;
  }

  /** The first ``count`` words of the utterance can change no more, since now at the latest. */
  #settle(count) {
    while (this.#stable.length < count) this.#stable.push(this.#heardMs);
  }

  #hear(said) {
    const nothing = { delays: [], heardMs: 0, busyMs: 0 };
    if (said.type === "partial") {
      const words = said.text.split(" ").map((text) => ({ text, startMs: null }));
      this.#settle(words.length - 1); // the last one may still grow
      this.#tell("words", { words, ...nothing });
    } else if (said.type === "final") {
      const words = said.words.map(({ text, start_ms: startMs, end_ms: endMs }) => ({ text, startMs, endMs }));
      this.#settle(words.length);
      const delays = this.live ? words.map(({ endMs }, i) => [i, Math.max(0, this.#stable[i] - endMs)]) : [];
      this.#stable = [];
      this.#tell("utterance", { words, text: said.text, utterance: said.utterance, samples: null, ...nothing, delays });
    } else if (said.type === "second_pass" && said.text !== null) {
      this.#tell("second", { utterance: said.utterance, text: said.text });
    }
  }
}

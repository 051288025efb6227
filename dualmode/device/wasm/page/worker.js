// The engine, in a thread of its own; session.js says what is asked of it.
import { load } from "../engine.js";

let recognizer = null;
let keepAudio = false;
let heard = []; // pieces of samples since the utterance began, if they are kept
let rate = 16000;
let heardMs = 0;
let busyMs = 0;
let shown = 0; // words of the utterance whose delay is known

function begin() {
  recognizer.reset();
  heard = [];
  heardMs = busyMs = shown = 0;
}

/** Words of the utterance; those that became stable just now get the delay with which they did. */
function words(spentMs) {
  const now = recognizer.words;
  const delays = [];
  for (; shown < now.length && now[shown].stableMs !== null; ++shown)
    delays.push([shown, Math.max(0, heardMs - now[shown].endMs) + spentMs]);
  return { words: now, delays, heardMs, busyMs };
}

function joined(pieces) {
  const all = new Float32Array(pieces.reduce((count, piece) => count + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

/** How many of the samples that were heard lie behind `ms`. */
function behind(ms) {
  return Math.max(0, Math.round(((heardMs - ms) * rate) / 1000));
}

function utterance(spentMs) {
  const { startMs, endMs, text, endpoint } = recognizer;
  const ended = { type: "utterance", text, startMs, endMs, endpoint, rate, samples: null, ...words(spentMs) };
  if (keepAudio) {
    const all = joined(heard);
    ended.samples = all.slice(0, all.length - behind(endMs));
  }
  shown = 0;
  if (text || endpoint !== "nothing said") postMessage(ended);
}

function nextUtterance() {
  recognizer.nextUtterance();
  if (!keepAudio) return;
  const all = joined(heard); // behind silence, the next one begins before the end of this one
  heard = [all.slice(all.length - behind(recognizer.startMs))];
}

const ASKED = {
  async load({ model, keep }) {
    const next = await load(model); // where that fails, the one before stays
    recognizer?.close();
    recognizer = next;
    recognizer.setEndpointing();
    keepAudio = keep;
    begin();
    postMessage({ type: "loaded", bytes: recognizer.bytes });
  },

  accept(asked) {
    const before = performance.now();
    rate = asked.rate;
    if (keepAudio) heard.push(asked.samples);
    recognizer.accept(asked.samples, rate);
    heardMs += (1000 * asked.samples.length) / rate;
    for (; recognizer.endpoint; nextUtterance()) utterance(performance.now() - before);
    const spent = performance.now() - before;
    busyMs += spent;
    postMessage({ type: "words", ...words(spent) });
  },

  finish() {
    const before = performance.now();
    try {
      recognizer.finish();
      const spent = performance.now() - before;
      busyMs += spent;
      utterance(spent);
    } finally {
      begin();
      postMessage({ type: "finished" });
    }
  },
};

let queue = Promise.resolve(); // one after the other, also while a model is loaded
onmessage = ({ data }) => {
  queue = queue
    .then(() => ASKED[data.type](data))
    .catch((error) => postMessage({ type: "error", message: error.message }));
};

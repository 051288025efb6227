import { Session } from "./session.js";

const MODEL = "../../../../egs/mini/demo/sparse.dmdl"; // or ?model=URL
const RATE = 16000; // of files: the engine's own, so that nothing is resampled twice
const part = (id) => document.getElementById(id);
const session = new Session();
const delays = [];
let microphone = null;
let rows = []; // words of the utterance with their delays
let ended = false; // the rows are of an utterance that is over: they stay until the next one has words

function say(message) {
  part("status").textContent = message;
}

function usable(yes) {
  part("microphone").disabled = part("file").disabled = !yes;
}

function show({ words, delays: known, heardMs, busyMs }) {
  if (ended) rows = [];
  ended = false;
  words.forEach((word, i) => (rows[i] = { ...word, delay: rows[i]?.delay }));
  for (const [i, ms] of known) {
    rows[i].delay = ms;
    delays.push(ms);
  }
  part("growing").textContent = words.map((word) => word.text).join(" ");
  part("words").replaceChildren(
    ...rows.map(({ text, startMs, delay }) => {
      const row = document.createElement("tr");
      for (const value of [text, startMs.toFixed(0), delay === undefined ? "…" : delay.toFixed(0)])
        row.insertCell().textContent = value;
      return row;
    }),
  );
  if (heardMs) part("rtf").textContent = (busyMs / heardMs).toFixed(4);
  if (delays.length) {
    const sorted = [...delays].sort((a, b) => a - b);
    part("delay").textContent = `${sorted[sorted.length >> 1].toFixed(0)} ms`;
  }
}

session.addEventListener("loaded", ({ detail: { bytes } }) => {
  const mb = (count) => (count / 1e6).toFixed(2);
  part("loaded").textContent = `${mb(bytes.engine + bytes.model)} MB (engine ${mb(bytes.engine)}, model ${mb(bytes.model)})`;
  say("Ready.");
  usable(true);
});
session.addEventListener("words", ({ detail }) => {
  if (!ended || detail.words.length) show(detail);
});
session.addEventListener("utterance", ({ detail }) => {
  show(detail);
  const line = document.createElement("p");
  line.textContent = detail.text || "(no words)";
  part("heard").append(line);
  part("growing").textContent = "";
  ended = true;
});
session.addEventListener("finished", () => {
  say("Ready.");
  usable(true);
});
session.addEventListener("error", ({ detail }) => say(`Error: ${detail.message}`));

part("file").addEventListener("change", async ({ target }) => {
  const [file] = target.files;
  if (!file) return;
  usable(false);
  say(`Hearing ${file.name} …`);
  try {
    const audio = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await file.arrayBuffer());
    const channels = Array.from({ length: audio.numberOfChannels }, (_, i) => audio.getChannelData(i));
    const mixed = channels[0].map((_, i) => channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length);
    for (let at = 0; at < mixed.length; at += RATE / 10) session.accept(mixed.slice(at, at + RATE / 10), RATE);
    session.finish();
  } catch {
    say(`Error: ${file.name} is no audio that this browser can read.`);
    usable(true);
  }
  target.value = "";
});

part("model").addEventListener("change", async ({ target }) => {
  const [file] = target.files;
  if (!file) return;
  usable(false);
  say(`Loading ${file.name} …`);
  session.load(await file.arrayBuffer());
});

async function listen() {
  const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const stream = await navigator.mediaDevices.getUserMedia({ audio });
  const context = new AudioContext();
  await context.audioWorklet.addModule(new URL("capture.js", import.meta.url));
  const mono = { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" };
  const capture = new AudioWorkletNode(context, "capture", mono);
  capture.port.onmessage = ({ data }) => session.accept(data, context.sampleRate);
  context.createMediaStreamSource(stream).connect(capture);
  return async () => {
    stream.getTracks().forEach((track) => track.stop());
    await context.close();
    session.finish();
  };
}

let changing = false; // the button is not disabled meanwhile: it would lose the keyboard's focus
part("microphone").addEventListener("click", async ({ target }) => {
  if (changing) return;
  changing = true;
  try {
    if (microphone) {
      await microphone();
      microphone = null;
    } else {
      microphone = await listen();
      say("Listening.");
    }
  } catch (error) {
    say(`Error: the microphone cannot be used: ${error.message}`);
  }
  changing = false;
  part("file").disabled = part("model").disabled = Boolean(microphone);
  target.setAttribute("aria-pressed", String(Boolean(microphone)));
  target.textContent = microphone ? "Stop microphone" : "Start microphone";
});

session.load(new URL(new URLSearchParams(location.search).get("model") ?? MODEL, location.href).href);

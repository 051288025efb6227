import { differences, mark } from "./differences.js";
import { keepForOffline } from "./offline.js";
import { ServerSession, fetchModel, hearAgain, reachable, served } from "./server.js";
import { Session } from "./session.js";

const MODEL = "../../../../egs/mini/demo/sparse.dmdl"; // or ?model=URL
const RATE = 16000; // of files: the engine's own, so that nothing is resampled twice
const part = (id) => document.getElementById(id);
const server = served();
const local = new Session({ keepAudio: Boolean(server?.second_pass) });
const delays = [];
let microphone = null;
let rows = []; // words of the utterance with their delays
let ended = false; // the rows are of an utterance that is over: they stay until the next one has words
let ready = false; // a model was loaded
let failed = false; // an error is shown, until there is something to hear again
let busy = null; // the session that hears a file, or "model" while one is loaded
let changing = false; // the microphone is being turned on or off

function say(message) {
  part("status").textContent = message;
}

/** One sound at a time: what would begin another is off meanwhile. */
function controls() {
  const free = !busy && !microphone && !changing;
  part("microphone").disabled = !ready || Boolean(busy); // but not while it changes: it would lose the keyboard's focus
  part("file").disabled = !ready || !free;
  for (const id of ["model", "remote", "token"]) part(id).disabled = !free;
}

function nowBusy(what) {
  busy = what;
  controls();
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
      for (const value of [text, startMs?.toFixed(0) ?? "…", delay?.toFixed(0) ?? "…"]) row.insertCell().textContent = value;
      return row;
    }),
  );
  if (heardMs) part("rtf").textContent = (busyMs / heardMs).toFixed(4);
  if (delays.length) {
    const sorted = [...delays].sort((a, b) => a - b);
    part("delay").textContent = `${sorted[sorted.length >> 1].toFixed(0)} ms`;
  }
}

/** Adds a line of text; returns what puts a second pass in its place. */
function write(text) {
  const line = document.createElement("p");
  line.textContent = text || "(no words)";
  part("heard").append(line);
  return (better) => {
    mark(line, differences(text, better));
    line.dataset.pass = "second";
  };
}

function follow(one) {
  const lines = new Map(); // by number of the utterance, on the server
  one.addEventListener("words", ({ detail }) => {
    if (!ended || detail.words.length) show(detail);
  });
  one.addEventListener("utterance", ({ detail }) => {
    show(detail);
    const improve = write(detail.text);
    part("growing").textContent = "";
    ended = true;
    if (detail.utterance !== undefined) lines.set(detail.utterance, improve);
    else if (detail.samples?.length && part("again").checked) secondPass(detail, improve);
  });
  one.addEventListener("second", ({ detail }) => lines.get(detail.utterance)?.(detail.text));
  one.addEventListener("finished", () => {
    if (microphone?.hears === one && one !== local) turn(); // the server ended it
    if (!failed && !microphone) say("Ready.");
    if (busy === one) nowBusy(null);
  });
  one.addEventListener("error", ({ detail }) => {
    failed = true;
    say(`Error: ${detail.message}`);
  });
  return one;
}

async function secondPass({ samples, rate }, improve) {
  try {
    improve(await hearAgain(samples, rate, part("token").value));
  } catch (error) {
    failed = true;
    say(`The first pass stays: the server's second one failed (${error.message}).`);
  }
}

follow(local).addEventListener("loaded", ({ detail: { bytes } }) => {
  const mb = (count) => (count / 1e6).toFixed(2);
  part("loaded").textContent = `${mb(bytes.engine + bytes.model)} MB (engine ${mb(bytes.engine)}, model ${mb(bytes.model)})`;
  say("Ready.");
  ready = true;
  nowBusy(null);
});
local.addEventListener("error", () => {
  if (busy === "model") nowBusy(null); // one that was refused leaves the one before
});

/** Chooses where the next sound goes, and returns it; live: it comes as it is made. */
function choose(live) {
  failed = false;
  const [remote, again] = [part("remote").checked, part("again").checked && server?.second_pass];
  const session = remote ? follow(new ServerSession(part("token").value, again, live)) : local;
  const sent = again ? "Each utterance is sent to the server when it has ended." : "No sound leaves it.";
  part("where").textContent = remote ? "Now it listens on the server: all sound is sent there." : sent;
  return session;
}

part("file").addEventListener("change", async ({ target }) => {
  const [file] = target.files;
  if (!file) return;
  const hears = choose(false);
  nowBusy(hears);
  say(`Hearing ${file.name} …`);
  try {
    const audio = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await file.arrayBuffer());
    const channels = Array.from({ length: audio.numberOfChannels }, (_, i) => audio.getChannelData(i));
    const mixed = channels[0].map((_, i) => channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length);
    for (let at = 0; at < mixed.length; at += RATE / 10) hears.accept(mixed.slice(at, at + RATE / 10), RATE);
    hears.finish();
  } catch {
    say(`Error: ${file.name} is no audio that this browser can read.`);
    nowBusy(null);
  }
  target.value = "";
});

part("model").addEventListener("change", async ({ target }) => {
  const [file] = target.files;
  if (!file) return;
  nowBusy("model");
  say(`Loading ${file.name} …`);
  try {
    local.load(await file.arrayBuffer());
  } catch {
    say(`Error: ${file.name} cannot be read.`);
    nowBusy(null);
  }
  target.value = ""; // the same file may be chosen again, when it is mended
});

async function listen() {
  const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  if (!navigator.mediaDevices) throw new Error("browsers give it to pages by HTTPS or from localhost only");
  const stream = await navigator.mediaDevices.getUserMedia({ audio });
  let context = null;
  const stop = async () => {
    stream.getTracks().forEach((track) => track.stop());
    await context?.close();
  };
  try {
    context = new AudioContext();
    await context.audioWorklet.addModule(new URL("capture.js", import.meta.url));
    const mono = { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" };
    const capture = new AudioWorkletNode(context, "capture", mono);
    const hears = choose(true);
    capture.port.onmessage = ({ data }) => hears.accept(data, context.sampleRate);
    context.createMediaStreamSource(stream).connect(capture);
    const silence = async () => {
      await stop();
      capture.port.onmessage = null; // a piece that comes now would begin new audio, at the microphone's rate
    };
    // Unplugged, or not allowed any more; stop() does not fire it.
    stream.getAudioTracks()[0].addEventListener("ended", () => {
      if (microphone?.hears !== hears) return;
      failed = true;
      say("Error: the microphone is gone: it was unplugged, or may not be used any more.");
      turn();
    });
    return { hears, stop: silence };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Turns the microphone on or off. */
async function turn() {
  if (changing) return;
  changing = true;
  controls();
  try {
    if (microphone) {
      const { hears, stop } = microphone;
      microphone = null;
      await stop();
      const over = new Promise((heard) => hears.addEventListener("finished", heard, { once: true }));
      hears.finish();
      if (hears === local) await over; // its next sound would be in its way
    } else {
      microphone = await listen();
      say("Listening.");
    }
  } catch (error) {
    say(`Error: the microphone cannot be used: ${error.message}`);
  }
  changing = false;
  controls();
  part("microphone").classList.toggle("on", Boolean(microphone));
  part("microphone").textContent = microphone ? "Stop microphone" : "Start microphone";
}
part("microphone").addEventListener("click", turn);

async function loadServed() {
  if (server.token && !part("token").value && (await reachable())) return say("This server asks for its token.");
  say("Loading the server's model …");
  try {
    local.load(await fetchModel(part("token").value));
  } catch (error) {
    say(`Error: the server's model cannot be loaded: ${error.message}`);
  }
}

await keepForOffline();
const model = new URLSearchParams(location.search).get("model");
if (server) {
  part("server").hidden = false;
  part("token-part").hidden = !server.token;
  part("again-part").hidden = !server.second_pass;
  part("token").value = new URLSearchParams(location.hash.slice(1)).get("token") ?? ""; // #token=..., which no server sees
  history.replaceState(null, "", location.pathname + location.search);
  for (const id of ["again", "remote"]) part(id).addEventListener("change", () => choose(false));
  part("token").addEventListener("change", loadServed);
  choose(false);
}
if (server && !model) loadServed();
else local.load(new URL(model ?? MODEL, location.href).href);

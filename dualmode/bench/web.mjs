// Times the engine as WebAssembly and ONNX Runtime Web in one process, in turns; dualmode/bench/web.py calls it.
// Given as JSON: {engine, ort, device, onnx: {name: file}, samples, features, bins, window, shift, rounds, repeat}, of
// which samples and features are files of float32.  Prints {name: [CPU ms of each round]}.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const given = JSON.parse(process.argv[2]);
const floats = (path) => new Float32Array(new Uint8Array(readFileSync(path)).buffer);
const samples = floats(given.samples);
const features = floats(given.features);
const { load } = await import(pathToFileURL(given.engine).href);
const runs = {};

const device = await load(pathToFileURL(given.device));
runs["dualmode, from audio"] = () => {
  device.reset();
  device.accept(samples);
  device.finish();
};
runs["dualmode, from features"] = () => {
  device.reset();
  device.acceptFeatures(features, given.bins);
  device.finish();
};

const require = createRequire(`${given.ort}/package.json`);
const ort = await import(pathToFileURL(require.resolve("onnxruntime-web")).href).then((module) => module.default ?? module);
ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";
for (const [name, file] of Object.entries(given.onnx)) {
  const session = await ort.InferenceSession.create(new Uint8Array(readFileSync(file)), { executionProviders: ["wasm"] });
  const [audio, ...states] = session.inputMetadata;
  const start = states.map(({ type, shape }) => {
    const sizes = shape.map((size) => (typeof size === "number" ? size : 1)); // a batch of one
    const count = sizes.reduce((product, size) => product * size, 1);
    return new ort.Tensor(type, type === "int64" ? new BigInt64Array(count) : new Float32Array(count), sizes);
  });
  runs[name] = async () => {
    let state = start;
    const { bins, window, shift } = given;
    for (let at = 0; at < features.length / bins; at += shift) {
      const x = new Float32Array(window * bins);
      x.set(features.subarray(at * bins, (at + window) * bins));
      const feeds = { [audio.name]: new ort.Tensor("float32", x, [1, window, bins]) };
      states.forEach(({ name: input }, i) => (feeds[input] = state[i]));
      const outputs = await session.run(feeds);
      state = session.outputNames.slice(1).map((output) => outputs[output]); // in the order of the inputs
    }
  };
}

const times = Object.fromEntries(Object.keys(runs).map((name) => [name, []]));
for (let round = -2; round < given.rounds; ++round)
  for (const [name, run] of Object.entries(runs)) {
    const before = process.cpuUsage();
    for (let i = 0; i < given.repeat; ++i) await run();
    const { user, system } = process.cpuUsage(before);
    if (round >= 0) times[name].push((user + system) / 1000 / given.repeat);
  }
console.log(JSON.stringify(times));

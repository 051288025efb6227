// Answers calls of test_wasm.py, one JSON object a line: products of matrices, and recordings.
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [folder, module] = process.argv.slice(2).map((path) => pathToFileURL(path).href);
const { Engine } = await import(`${folder}/wasm.js`);
const { Model } = await import(`${folder}/engine.js`);
const engine = await Engine.start(module);
const bytes = (text) => Uint8Array.from(Buffer.from(text, "base64"));

const CALLS = {
  product({ int8, outputs, inputs, rows, bitmask, values, scales, bias, kernels, x, frames }) {
    const name = new TextEncoder().encode(`${kernels}\0`);
    const held = [bitmask, values, scales, bias].map(bytes).concat([name, bytes(x), new Float32Array(frames * outputs)]);
    const at = held.map((each) => engine.take(Math.max(each.byteLength, 1)));
    held.forEach((each, i) =>
      new Uint8Array(engine.c.memory.buffer, at[i]).set(new Uint8Array(each.buffer, each.byteOffset, each.byteLength)),
    );
    const matrix = engine.call("dualmode_matrix_new", int8, outputs, inputs, rows, ...at.slice(0, 5));
    if (!matrix) throw new Error(engine.string(engine.error));
    engine.c.dualmode_matrix_multiply(matrix, at[5], frames, at[6]);
    const y = Buffer.from(new Uint8Array(engine.c.memory.buffer, at[6], 4 * frames * outputs).slice()).toString("base64");
    engine.c.dualmode_matrix_free(matrix);
    at.forEach((each) => engine.c.free(each));
    return y;
  },

  async hear({ model, kernels, audio, rate, piece, endpointing }) {
    const opened = await Model.load(bytes(model), { wasm: module, kernels });
    const streams = audio.map(() => opened.stream());
    const utterances = audio.map(() => []);
    const say = (stream, i) =>
      utterances[i].push({ text: stream.text, start: stream.startMs, end: stream.endMs, words: stream.words });
    if (endpointing) for (const stream of streams) stream.setEndpointing(endpointing);
    const samples = audio.map((each) => new Float32Array(bytes(each).buffer));
    for (let start = 0; samples.some((each) => start < each.length); start += piece)
      streams.forEach((stream, i) => {
        stream.accept(samples[i].subarray(start, start + piece), rate);
        for (; stream.endpoint; stream.nextUtterance()) if (stream.endpoint !== "nothing said") say(stream, i);
      });
    streams.forEach((stream, i) => {
      stream.finish();
      say(stream, i);
    });
    const name = streams[0].kernels;
    streams.forEach((stream) => stream.close());
    return { utterances, kernels: name };
  },

  async refuse({ model, wasm, sample, rate }) {
    const stream = (await Model.load(bytes(model), { wasm: wasm ? bytes(wasm) : module })).stream();
    stream.accept(new Float32Array([0, sample ?? NaN]), rate);
  },

  async features({ model, frames, bins }) {
    const stream = (await Model.load(bytes(model), { wasm: module })).stream();
    stream.acceptFeatures(new Float32Array(frames * bins), bins);
    return true;
  },

  async misuse({ model }) {
    const stream = (await Model.load(bytes(model), { wasm: module })).stream();
    stream.close();
    stream.close();
    return stream.text;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { call, ...given } = JSON.parse(line);
  let answer;
  try {
    answer = { result: await CALLS[call](given) };
  } catch (error) {
    answer = { error: error.message };
  }
  console.log(JSON.stringify(answer));
}

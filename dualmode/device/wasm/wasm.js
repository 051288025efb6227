// The engine of csrc/device.h in WebAssembly: its functions, memory and errors.  engine.js is what users import.

const ERROR_SIZE = 512;
const text = new TextDecoder();

/** The address of a source: a URL or, in Node.js, perhaps a path. */
async function address(source) {
  if (globalThis.location || source instanceof URL) return new URL(source, globalThis.location?.href);
  if (/^(file|https?|data):/.test(source)) return new URL(source);
  const { pathToFileURL } = await import("node:url");
  return pathToFileURL(String(source));
}

/** Bytes of a URL or, in Node.js, of a file; or the bytes themselves. */
export async function read(source) {
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  const url = await address(source);
  if (url.protocol === "file:") {
    const { readFile } = await import("node:fs/promises"); // Node's fetch does not open files
    const unread = ({ message }) => {
      throw new Error(`${source} cannot be read: ${message}`);
    };
    return new Uint8Array(await readFile(url).catch(unread));
  }
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** An instance of the engine, with the memory that it works in. */
export class Engine {
  static async start(source) {
    const bytes = await read(source ?? new URL("dualmode.wasm", import.meta.url));
    const imports = {
      env: { emscripten_notify_memory_growth() {} },
      wasi_snapshot_preview1: {
        proc_exit() {
          throw new Error("the engine stopped: it has no more memory, or is damaged");
        },
      },
    };
    let started;
    try {
      started = await WebAssembly.instantiate(bytes, imports);
    } catch (error) {
      if (!(error instanceof WebAssembly.CompileError)) throw error;
      throw new Error("this browser cannot run the engine: it needs WebAssembly with SIMD and exceptions", {
        cause: error,
      });
    }
    started.instance.exports._initialize();
    return new Engine(started.instance.exports, bytes.length);
  }

  constructor(exports, bytes) {
    this.c = exports;
    this.bytes = bytes;
    this.error = this.take(ERROR_SIZE);
    this.pointer = this.take(4); // where functions write a pointer
  }

  take(size) {
    const at = this.c.malloc(size);
    if (!at) throw new Error("there is not enough memory");
    return at;
  }

  // Memory that grows moves: views are made anew each time.
  view() {
    return new DataView(this.c.memory.buffer);
  }

  string(at) {
    const bytes = new Uint8Array(this.c.memory.buffer, at);
    return text.decode(bytes.slice(0, bytes.indexOf(0)));
  }

  /** Runs `work` with a copy of `values`, a typed array, in the engine's memory. */
  lend(values, work) {
    const at = this.take(Math.max(values.byteLength, 1));
    try {
      new Uint8Array(this.c.memory.buffer, at, values.byteLength).set(
        new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
      );
      return work(at);
    } finally {
      this.c.free(at);
    }
  }

  /** Calls a function that can fail; its error is thrown. */
  call(name, ...values) {
    const result = this.c[name](...values, this.error, ERROR_SIZE);
    if (result === -1 || (result === 0 && (name.includes("_open") || name === "dualmode_stream")))
      throw new Error(this.string(this.error));
    return result;
  }
}

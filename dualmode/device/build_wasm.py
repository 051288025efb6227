"""Compiles the engine to the module of ``wasm/``, which is committed; by hand after a change of the engine's sources::

python -m dualmode.device.build_wasm     # needs emscripten
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from dualmode_runtime.build import (
    FLAGS,
    PROGRAM_SOURCES,
    SOURCES,
    NoCompiler,
    compile_objects,
    run_compiler,
    sources_hash,
)

WARNINGS = ("-Wall", "-Wextra", "-Werror")
WASM = Path(__file__).with_name("wasm")
WASM_MODULE, WASM_STAMP = "dualmode.wasm", "dualmode.wasm.sources"
WASM_FLAGS = ("-msimd128", "-fwasm-exceptions")
WASM_EXPORTS = (
    *("malloc", "free", "dualmode_model_open_memory", "dualmode_model_free", "dualmode_stream", "dualmode_free"),
    *("dualmode_get_info", "dualmode_get_kernels", "dualmode_reset", "dualmode_set_rate", "dualmode_accept_samples"),
    *("dualmode_accept_features", "dualmode_finish", "dualmode_set_endpointing", "dualmode_endpoint"),
    *("dualmode_next_utterance", "dualmode_text", "dualmode_words", "dualmode_start_ms", "dualmode_end_ms"),
    *("dualmode_matrix_new", "dualmode_matrix_multiply", "dualmode_matrix_free"),  # for tests
)


def _emscripten() -> tuple[str, dict[str, str]]:
    """Return em++ and the environment that it needs: a cache of its libraries that it may write to."""
    compiler = shutil.which("em++")
    if compiler is None:
        raise NoCompiler("em++ was not found; on Debian: apt install --no-install-recommends emscripten")
    env = dict(os.environ)
    shared = Path("/usr/share/emscripten/cache")  # Debian's, which is frozen: it lacks the libraries with exceptions
    if "EM_CACHE" not in env and shared.is_dir():
        cache = Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dualmode" / "emscripten"
        if not cache.is_dir():
            cache.parent.mkdir(parents=True, exist_ok=True)
            work = cache.with_name(f".emscripten{os.getpid()}")
            shutil.copytree(shared, work, symlinks=True)
            os.replace(work, cache)
        env |= {"EM_CACHE": str(cache), "EM_FROZEN_CACHE": ""}
    return compiler, env


def compile_wasm(folder: Path) -> None:
    """Compile the engine to ``dualmode.wasm`` in ``folder``, with a stamp of its sources beside it.

    Raises:
        NoCompiler: emscripten is missing or fails; nothing was replaced.
    """
    compiler, env = _emscripten()
    work = folder / f".build{os.getpid()}"
    work.mkdir(parents=True)
    command = [compiler, *(flag for flag in FLAGS if flag != "-fPIC"), *WASM_FLAGS, *WARNINGS]
    try:
        sources = [source for source in sorted(SOURCES.glob("*.cpp")) if source.name not in PROGRAM_SOURCES]
        objects = {source: work / f"{source.stem}.o" for source in sources}
        compile_objects(command, objects, env)
        exports = ",".join(f"_{name}" for name in WASM_EXPORTS)
        # Nothing but the module: wasm/wasm.js is the code around it.
        settings = ["-sSTANDALONE_WASM", "--no-entry", "-sALLOW_MEMORY_GROWTH", f"-sEXPORTED_FUNCTIONS={exports}"]
        run_compiler([*command, *settings, *map(str, objects.values()), "-o", str(work / WASM_MODULE)], env)
        (work / WASM_MODULE).chmod(0o644)
        (work / WASM_STAMP).write_text(sources_hash(PROGRAM_SOURCES) + "\n", encoding="ascii")
        for name in (WASM_MODULE, WASM_STAMP):
            os.replace(work / name, folder / name)
    finally:
        shutil.rmtree(work)


def wasm_is_current() -> bool:
    """Whether the module of ``wasm/`` was compiled from the sources that are here."""
    stamp = WASM / WASM_STAMP
    return stamp.is_file() and stamp.read_text(encoding="ascii").strip() == sources_hash(PROGRAM_SOURCES)


def main(argv: Sequence[str] | None = None) -> int:
    about = "Compile the device engine to WebAssembly."
    argparse.ArgumentParser(prog="python -m dualmode.device.build_wasm", description=about).parse_args(argv)
    try:
        compile_wasm(WASM)
    except NoCompiler as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"compiled {WASM / WASM_MODULE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

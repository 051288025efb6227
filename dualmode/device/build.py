"""Compiles the engine in ``csrc/``, to a library and a program or to WebAssembly; by hand after a change::

python -m dualmode.device.build            # for this machine; installation does it too
python -m dualmode.device.build --wasm     # the module of wasm/, which is committed; needs emscripten
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SOURCES = Path(__file__).with_name("csrc")
BUILT = Path(__file__).with_name("built")
LIBRARY, PROGRAM, STAMP = "libdualmode_device.so", "dualmode-device", "sources.sha256"
# Sums may be contracted to fused multiply-adds, but never reordered: every build gives the same results.
FLAGS = ("-std=c++17", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fPIC", "-fvisibility=hidden")
WARNINGS = ("-Wall", "-Wextra", "-Werror")

WASM = Path(__file__).with_name("wasm")
WASM_MODULE, WASM_STAMP = "dualmode.wasm", "dualmode.wasm.sources"
PROGRAM_SOURCES = ("main.cpp", "audio_file.cpp", "audio_file.h")  # of the program alone
WASM_FLAGS = ("-msimd128", "-fwasm-exceptions")
WASM_EXPORTS = (
    *("malloc", "free", "dualmode_model_open_memory", "dualmode_model_free", "dualmode_stream", "dualmode_free"),
    *("dualmode_get_kernels", "dualmode_reset", "dualmode_set_rate", "dualmode_accept_samples"),
    *("dualmode_accept_features", "dualmode_finish", "dualmode_set_endpointing", "dualmode_endpoint"),
    *("dualmode_next_utterance", "dualmode_text", "dualmode_words", "dualmode_start_ms", "dualmode_end_ms"),
    *("dualmode_matrix_new", "dualmode_matrix_multiply", "dualmode_matrix_free"),  # for tests
)


class NoCompiler(Exception):
    """There is no C++ compiler, or it cannot compile the engine; the message says which and what to do."""


def find_compiler() -> str:
    """Return the C++ compiler: $CXX, else g++, clang++ or c++ of the path."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++", "c++"]
    for name in names:
        if path := shutil.which(name):
            return path
    raise NoCompiler(f"no C++17 compiler was found (looked for {', '.join(names)}); on Debian: apt install g++")


def sources_hash(without: Sequence[str] = ()) -> str:
    """Return a hash of the sources as they are, to tell an engine that was compiled from others."""
    digest = hashlib.sha256()
    for source in sorted(path for path in SOURCES.iterdir() if path.name not in without):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()


def _run(command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
    result = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", env=env)
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"status {result.returncode}"]
        first = next((line for line in lines if "error" in line), lines[0])
        raise NoCompiler(f"{command[0]} cannot compile the device engine: {first}")


def _compile_objects(
    command: Sequence[str], objects: Mapping[Path, Path], env: Mapping[str, str] | None = None
) -> None:
    """Compile each source to its object, as many at once as there are processors."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1) as pool:
        commands = [[*command, "-c", str(source), "-o", str(to)] for source, to in objects.items()]
        list(pool.map(lambda words: _run(words, env), commands))


def compile_engine(folder: Path, flags: Sequence[str] = (), mains: Sequence[tuple[Path, str]] = ()) -> None:
    """Compile library and program into ``folder``, each to a temporary name that is then renamed.

    Args:
        folder: is made if need be.
        flags: for the compiler, after those of every build.
        mains: further sources with a ``main``, each linked with the engine to the program of that name.

    Raises:
        NoCompiler: nothing was replaced.
    """
    compiler = find_compiler()
    folder.mkdir(parents=True, exist_ok=True)
    work = folder / f".build{os.getpid()}"
    work.mkdir()
    flags = [*FLAGS, *flags, f"-I{SOURCES}"]
    try:
        main = SOURCES / "main.cpp"
        programs = [(main, PROGRAM), *mains]
        engine = [source for source in sorted(SOURCES.glob("*.cpp")) if source != main]
        sources = [*engine, *(source for source, _ in programs)]
        objects = {source: work / f"{source.stem}.o" for source in sources}
        _compile_objects([compiler, *flags], objects)
        parts = [str(objects[source]) for source in engine]
        _run([compiler, *flags, "-shared", *parts, "-o", str(work / LIBRARY)])
        for source, name in programs:
            _run([compiler, *flags, str(objects[source]), *parts, "-o", str(work / name)])
        (work / STAMP).write_text(sources_hash(), encoding="ascii")
        for name in (LIBRARY, *(name for _, name in programs), STAMP):
            os.replace(work / name, folder / name)
    finally:
        shutil.rmtree(work)


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
        _compile_objects(command, objects, env)
        exports = ",".join(f"_{name}" for name in WASM_EXPORTS)
        # Nothing but the module: wasm/wasm.js is the code around it.
        settings = ["-sSTANDALONE_WASM", "--no-entry", "-sALLOW_MEMORY_GROWTH", f"-sEXPORTED_FUNCTIONS={exports}"]
        _run([*command, *settings, *map(str, objects.values()), "-o", str(work / WASM_MODULE)], env)
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
    parser = argparse.ArgumentParser(prog="python -m dualmode.device.build", description="Compile the device engine.")
    parser.add_argument("--wasm", action="store_true", help="to WebAssembly, with emscripten, instead of this machine")
    args = parser.parse_args(argv)
    try:
        if args.wasm:
            compile_wasm(WASM)
        else:
            compile_engine(BUILT)
    except NoCompiler as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    made = [WASM / WASM_MODULE] if args.wasm else [BUILT / LIBRARY, BUILT / PROGRAM]
    print(f"compiled {' and '.join(map(str, made))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

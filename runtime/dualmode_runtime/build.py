"""Compiles the engine in ``csrc/`` to a library and a program; by hand after a change of a source::

python -m dualmode_runtime.build     # needs a C++17 compiler; installing from the sources does it too
"""

import argparse
import hashlib
import os
import shlex
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
PROGRAM_SOURCES = ("main.cpp", "audio_file.cpp", "audio_file.h")  # of the program alone


class NoCompiler(Exception):
    """There is no C++ compiler, or it cannot compile the engine; the message says which and what to do."""


def find_compiler() -> list[str]:
    """Return the C++ compiler: $CXX, which may have options, else g++, clang++ or c++ of the path."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++", "c++"]
    for name in names:
        program, *options = shlex.split(name)
        if path := shutil.which(program):
            return [path, *options]
    raise NoCompiler(f"no C++17 compiler was found (looked for {', '.join(names)}); on Debian: apt install g++")


def sources_hash(without: Sequence[str] = ()) -> str:
    """Return a hash of the sources as they are, to tell an engine that was compiled from others."""
    digest = hashlib.sha256()
    for source in sorted(path for path in SOURCES.iterdir() if path.name not in without):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()


def is_stale(built: Path) -> bool:
    """Return whether the engine of this folder was compiled from other sources than those that are here.

    A wheel has no stamp: what is installed from it was compiled from the sources beside it.
    """
    stamp = built / STAMP
    return stamp.is_file() and stamp.read_text(encoding="ascii") != sources_hash()


def run_compiler(command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
    """Run a command of the compiler; NoCompiler says what it complains of."""
    result = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", env=env)
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"status {result.returncode}"]
        first = next((line for line in lines if "error" in line), lines[0])
        raise NoCompiler(f"{command[0]} cannot compile the device engine: {first}")


def compile_objects(command: Sequence[str], objects: Mapping[Path, Path], env: Mapping[str, str] | None = None) -> None:
    """Compile each source to its object, as many at once as there are processors."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1) as pool:
        commands = [[*command, "-c", str(source), "-o", str(to)] for source, to in objects.items()]
        list(pool.map(lambda words: run_compiler(words, env), commands))


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
        compile_objects([*compiler, *flags], objects)
        parts = [str(objects[source]) for source in engine]
        named = [f"-Wl,-soname,{LIBRARY}"] if sys.platform == "linux" else []  # as programs that link it look for it
        run_compiler([*compiler, *flags, "-shared", *named, *parts, "-o", str(work / LIBRARY)])
        for source, name in programs:
            run_compiler([*compiler, *flags, str(objects[source]), *parts, "-o", str(work / name)])
        (work / STAMP).write_text(sources_hash(), encoding="ascii")
        for name in (LIBRARY, *(name for _, name in programs), STAMP):
            os.replace(work / name, folder / name)
    finally:
        shutil.rmtree(work)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m dualmode_runtime.build", description="Compile the device engine.")
    parser.parse_args(argv)
    try:
        compile_engine(BUILT)
    except NoCompiler as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: the engine cannot be written into {BUILT}: {error}", file=sys.stderr)
        return 2
    print(f"compiled {BUILT / LIBRARY} and {BUILT / PROGRAM}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

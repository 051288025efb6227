#!/usr/bin/env python3
"""Measure what an installation costs, and write docs/benchmarks/install.md.

    bash tools/wheels.sh && python3 tools/install_table.py --train tools/venv --model egs/mini/exp/asr_base

Makes two fresh environments from build/wheels, one for dualmode-runtime alone and one for dualmode (5 GB under
--work-dir), and looks at one of tools/setup.sh for training. Times are of whole processes, all kinds in turn: the
median of the wall clock, and of the processor's time, which other work on the machine hardly changes.
"""

import argparse
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "egs/mini/demo"
TORCH = ("torch", "torchgen", "functorch")  # folders of its wheel, and below what it needs
LIBRARIES = ("nvidia", "triton", "cuda", "cusparselt")
PAGE = ROOT / "docs/benchmarks/install.md"


def size(path: Path, keep=lambda path: True) -> int:
    """Return the bytes of the files in a folder."""
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file() and not p.is_symlink() and keep(p))


def of_torch(path: Path) -> bool:
    if "site-packages" not in path.parts:
        return False
    folder = path.parts[path.parts.index("site-packages") + 1]
    return folder in TORCH or folder.startswith(LIBRARIES)


def megabytes(count: int) -> str:
    """Return bytes as MB (10^6), with three digits."""
    return f"{count / 1e6:.1f}" if count < 1e8 else f"{count / 1e6:.0f}"


def three_seconds(path: Path) -> None:
    """Write a recording of 3 s: the two of the demonstration, one after the other, and cut."""
    parts = []
    for name in ("temperature", "news"):
        with wave.open(str(DEMO / f"{name}.wav")) as file:
            rate, bytes_a_sample = file.getframerate(), file.getsampwidth()
            parts.append(file.readframes(file.getnframes()))
    with wave.open(str(path), "wb") as out:
        out.setparams((1, bytes_a_sample, rate, 0, "NONE", ""))
        out.writeframes(b"".join(parts).ljust(3 * rate * bytes_a_sample, b"\0")[: 3 * rate * bytes_a_sample])


def timed(command: list[str], folder: Path) -> tuple[float, float]:
    """Return the seconds of wall clock and of processor that a process takes."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    # Whatever this shell says: a package that may keep no byte code is compiled anew at each start.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    subprocess.run(command, cwd=folder, env=variables, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def table(title: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    head = "| " + " | ".join(title) + " |\n| :-- |" + " --: |" * (len(title) - 1) + "\n"
    return head + "".join("| " + " | ".join(row) + " |\n" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=Path, default=ROOT / "build/wheels", help="what tools/wheels.sh made")
    parser.add_argument("--train", type=Path, required=True, metavar="DIR", help="an environment of tools/setup.sh")
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="model folder for PyTorch")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="runs of each process (default: 7)")
    parser.add_argument("--work-dir", type=Path, default=ROOT / "build", metavar="DIR", help="for the environments")
    args = parser.parse_args()
    uv = ROOT / "build/wheels-venv/bin/uv"
    work = Path(tempfile.mkdtemp(dir=args.work_dir, prefix="install"))
    try:
        PAGE.write_text(page(args, uv, work), encoding="utf-8")
    finally:
        shutil.rmtree(work)
    print(PAGE.read_text(encoding="utf-8"))


def page(args: argparse.Namespace, uv: Path, work: Path) -> str:
    (runtime_wheel,) = args.wheels.glob(f"dualmode_runtime-*_{platform.machine()}.whl")
    (dualmode_wheel,) = args.wheels.glob("dualmode-*.whl")
    packages = {"runtime": [runtime_wheel], "dualmode": [runtime_wheel, dualmode_wheel]}
    for name, wheels in packages.items():
        subprocess.run([uv, "venv", "--quiet", work / name], check=True)
        pins = ["--constraint", ROOT / "tools/constraints.txt"]
        subprocess.run([uv, "pip", "install", "--quiet", "--python", work / name, *pins, *wheels], check=True)
    environments = [
        ("`dualmode-runtime`: device files", work / "runtime"),
        ("`dualmode`: recognising with PyTorch", work / "dualmode"),
        ("`dualmode[train]`, by `tools/setup.sh`", args.train),
    ]
    sizes = [
        (name, megabytes(size(env)), megabytes(size(env, of_torch)), megabytes(size(env, lambda p: not of_torch(p))))
        for name, env in environments
    ]
    wav = work / "three.wav"
    three_seconds(wav)
    device, small, whole = str(DEMO / "sparse.dmdl"), work / "runtime/bin", work / "dualmode/bin"
    model = str(args.model.resolve())
    processes = {
        "`python -c pass`": [small / "python", "-c", "pass"],
        "`import dualmode_runtime`": [small / "python", "-c", "import dualmode_runtime"],
        "`import dualmode`": [whole / "python", "-c", "import dualmode"],
        "`from dualmode import Recognizer`": [whole / "python", "-c", "from dualmode import Recognizer"],
        "`dualmode-device sparse.dmdl`, the program in C++": [small / "dualmode-device", device, wav],
        "`dualmode-runtime sparse.dmdl`": [small / "dualmode-runtime", device, wav],
        "`dualmode transcribe sparse.dmdl`": [whole / "dualmode", "transcribe", device, wav],
        "`dualmode transcribe exp/asr_base`, PyTorch": [whole / "dualmode", "transcribe", model, wav],
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in processes}
    for number in range(args.rounds + 1):  # the first one fills the cache of files, and is not counted
        for name, command in processes.items():
            taken = timed(list(map(str, command)), work)
            found[name] += [taken] if number else []
    times = [
        (name, *(f"{statistics.median(column):.2f}" for column in zip(*taken, strict=True)))
        for name, taken in found.items()
    ]
    wheels = [(f"`{path.name}`", megabytes(path.stat().st_size)) for path in sorted(args.wheels.glob("*.*"))]
    load = os.getloadavg()[2]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    version, cores = platform.python_version(), len(os.sched_getaffinity(0))
    return f"""# What an installation costs

By `bash tools/wheels.sh && python3 tools/install_table.py --train tools/venv --model egs/mini/exp/asr_base --rounds
{args.rounds}`, commit {commit.strip()}, {time.strftime("%Y-%m-%d")}, {cores} cores without a GPU, Python
{version}, Linux on {platform.machine()}. Load average of the 15 minutes before: {load:.0f}.

## Files

{table(("file", "MB"), wheels)}
## Environments

Versions of `tools/constraints.txt`. PyTorch is PyPI's own wheel, which serves GPUs, too: most of it is CUDA.

{table(("installed", "MB", "of these PyTorch and CUDA", "the rest"), sizes)}
## Starting

Whole processes, files in the system's cache, median of {args.rounds} in turn; the transcript is of a recording of 3 s.
The processor's time hardly depends on what else the machine does; the wall clock does.

{table(("process", "wall, s", "processor, s"), times)}"""


if __name__ == "__main__":
    sys.exit(main())

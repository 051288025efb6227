#!/usr/bin/env python3
"""Say what is installed and what is missing: Python, packages, the machine, optional programs.

Ends with status 1 if something needed is missing or has another version than the pinned one.
"""

import argparse
import importlib
import math
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ((3, 10), (3, 13))  # from, below
DEEP_IMPORTS = ("torch", "torchaudio", "kaldiio", "sentencepiece", "kaldi_native_fbank", "espnet2.tasks.abs_task")
OPTIONAL_IMPORTS = {"ctc_segmentation": "word times: tools/setup.sh --with-align"}
PROGRAMS = {
    "sbatch": "training on a Slurm cluster",
    "sclite": "NIST's scoring, to compare with",
    "cc": "ctc-segmentation",
    "c++": "the device engine: python3 runtime/dualmode_runtime/build.py",
    "ffmpeg": "m4a, webm and mp4 in transcribe, stream and serve",
    "git": "the commit in RESULTS.md, the corpus of egs/fsdd",
}
REPAIR = "run tools/setup.sh"
NEEDED = ("", "train")  # of the extras: what tools/setup.sh always installs
HOW = {
    "test": "tools/setup.sh --with-tests",
    "export": "tools/setup.sh --with-device",
    "data": "tools/setup.sh --with-data",
    "server": "tools/setup.sh --with-server",
    "align": "tools/setup.sh --with-align",
}


class Line(NamedTuple):
    """One line of the report; ``state`` is ok, MISSING or WRONG (needed), - (optional, not there) or empty (a fact)."""

    name: str
    found: str
    state: str
    remark: str = ""


def pinned() -> dict[str, str]:
    """Return the version that tools/constraints.txt pins each package to, on this Python."""
    lines = (ROOT / "tools/constraints.txt").read_text(encoding="utf-8").splitlines()
    wanted = [Requirement(line) for line in lines if line and not line.startswith("#")]
    here = [one for one in wanted if one.marker is None or one.marker.evaluate()]
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in here}


def required() -> Iterator[tuple[str, Requirement]]:
    """Yield (extra, requirement) of dualmode-runtime and dualmode as they are installed; the extra "" is none."""
    for package in ("dualmode-runtime", "dualmode"):
        about = metadata.distribution(package)
        extras = about.metadata.get_all("Provides-Extra") or []
        for requirement in map(Requirement, about.requires or []):
            marked = [extra for extra in extras if str(requirement.marker).endswith(f'extra == "{extra}"')]
            yield (marked[0] if marked else ""), requirement


def python_line() -> Line:
    version = platform.python_version()
    if PYTHONS[0] <= sys.version_info[:2] < PYTHONS[1]:
        return Line("python", version, "ok", sys.executable)
    return Line("python", version, "WRONG", "needs 3.10 to 3.12: tools/setup.sh --python PATH")


def package_lines() -> Iterator[Line]:
    pins, seen = pinned(), set()
    try:
        packages = list(required())
    except metadata.PackageNotFoundError as error:
        yield Line(str(error.name), "none", "MISSING", REPAIR)
        return
    for extra, requirement in packages:
        name = canonicalize_name(requirement.name)
        if name in seen or name == "dualmode":
            continue
        seen.add(name)
        needed = extra in NEEDED
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            how = HOW.get(extra, f"pip install 'dualmode[{extra}]'")
            yield Line(name, "none", "MISSING" if needed else "-", REPAIR if needed else f"optional: {how}")
            continue
        wanted = pins.get(name)
        if not wanted or found == wanted:
            yield Line(name, found, "ok")
        else:
            yield Line(name, found, "WRONG", f"{wanted} is pinned: {REPAIR}")


def machine_lines() -> Iterator[Line]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Line("system", platform.platform(), "")
    yield Line("cores", str(cores), "")
    yield Line("memory", f"{memory / 2**30:.1f} GiB", "", "egs/mini needs 6")
    yield Line("free disk", f"{shutil.disk_usage(ROOT).free / 1e9:.0f} GB", "", "egs/mini needs 2")
    for name, use in PROGRAMS.items():
        path = shutil.which(name)
        yield Line(name, path or "none", "ok" if path else "-", f"optional: {use}")


def deep_lines() -> Iterator[Line]:
    """Import what is slow to import and use it once."""
    for module in (*DEEP_IMPORTS, *OPTIONAL_IMPORTS):
        optional = OPTIONAL_IMPORTS.get(module)
        try:
            importlib.import_module(module)
        except Exception as error:  # a broken library may raise anything; the report shall name it and go on
            problem = f"{type(error).__name__}: {' '.join(str(error).split())}"
            yield Line(f"import {module}", "fails", "-" if optional else "MISSING", optional or f"{problem}: {REPAIR}")
        else:
            yield Line(f"import {module}", "works", "ok")
    try:
        loss = rnnt_loss()
        right = abs(loss - math.log(4)) < 1e-5
        yield Line("rnnt_loss", f"{loss:.4f}", "ok" if right else "WRONG", "torchaudio's, on the CPU; log 4 = 1.3863")
        yield Line("GPUs", gpus(), "")
    except Exception as error:  # as above
        yield Line("rnnt_loss", "fails", "MISSING", f"{type(error).__name__}: {' '.join(str(error).split())}: {REPAIR}")


def rnnt_loss() -> float:
    """Return the loss of 2 frames, 1 target and 2 equally likely tokens: 2 paths of 3 steps, so -log(2 / 2**3)."""
    import torch
    from torchaudio.functional import rnnt_loss

    one, two = torch.tensor([1], dtype=torch.int32), torch.tensor([2], dtype=torch.int32)
    return rnnt_loss(torch.zeros(1, 2, 2, 2), torch.tensor([[1]], dtype=torch.int32), two, one, blank=0).item()


def gpus() -> str:
    import torch

    return ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())) or "none"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deep", action="store_true", help="import the slow packages and try them (about 20 s)")
    parser.add_argument("--quiet", action="store_true", help="print only what is missing")
    args = parser.parse_args()
    bad = 0
    lines = [python_line, package_lines, machine_lines] + ([deep_lines] if args.deep else [])
    for source in lines:
        result = source()
        for line in [result] if isinstance(result, Line) else result:
            faulty = line.state in ("MISSING", "WRONG")
            bad += faulty
            if faulty or not args.quiet:
                print(f"{line.name:30} {line.found:24} {line.state:8} {line.remark}".rstrip(), flush=True)
    if bad:
        print(f"needed things that are missing or wrong: {bad}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

"""Where a result comes from: command, configuration, commit, seed, versions, machine, date."""

import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from dualmode import __version__
from dualmode.errors import UserError
from dualmode_runtime.files import sha256_of

PACKAGES = ("torch", "torchaudio", "espnet", "kaldi-native-fbank", "rapidfuzz")
NO_CHECKOUT = "not a git checkout"
# A results file that was just rewritten does not make the code another one.
NOT_CODE = (
    *(":(top,exclude,glob)**/RESULTS.md", ":(top,exclude,glob)**/results.json", ":(top,exclude,glob)**/*.png"),
    *(":(top,exclude,glob)docs/benchmarks/**", ":(top,exclude,glob)egs/**/results/**"),
)


def provenance(
    command: str | Sequence[str], seed: int | None, config_files: Iterable[str | os.PathLike]
) -> dict[str, Any]:
    """Return what somebody needs to get the same result again.

    Args:
        command: the command line, or several of them in the order in which they ran.
        seed: of the training; None where there is not a single one.
        config_files: the configurations that the commands read.

    Returns:
        ``commands``, ``seed``, ``configs`` (list of ``path`` and ``sha256``), ``commit``, ``versions`` (by package, no
        package is imported), ``machine`` (``cpu``, ``cores``, ``memory_gib``, ``system``) and ``date`` (UTC, ISO 8601).

    Raises:
        UserError: a configuration cannot be read.
    """
    return {
        "commands": [command] if isinstance(command, str) else list(command),
        "seed": seed,
        "configs": [{"path": str(path), "sha256": _sha256(Path(path))} for path in config_files],
        "commit": git_commit(Path(__file__).parent),
        "versions": {"dualmode": __version__, "python": platform.python_version()}
        | {name: installed_version(name) for name in PACKAGES},
        "machine": machine(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def git_commit(folder: Path) -> str:
    """Return the commit of the code in ``folder``, with "+ uncommitted changes" where files differ from it.

    A folder that git ignores, such as a virtual environment inside somebody's checkout, is not a checkout.
    """
    try:
        _git(folder, "ls-files", "--error-unmatch", "--", "__init__.py")
        commit = _git(folder, "rev-parse", "HEAD")
        changes = _git(folder, "status", "--porcelain", "--", ":/", *NOT_CODE)
    except (subprocess.CalledProcessError, FileNotFoundError):
        return NO_CHECKOUT
    return f"{commit} + uncommitted changes" if changes else commit


def installed_version(package: str) -> str:
    """Return the version of an installed package, or "not installed"."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def machine() -> dict[str, Any]:
    """Return the CPU's name, how many of its cores this process may use, memory in GiB, and the system."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu_model(Path("/proc/cpuinfo")),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def cpu_model(cpuinfo: Path) -> str:
    """Return the name of the CPU from ``/proc/cpuinfo``; where it has none (ARM, macOS), the kind of machine."""
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    return platform.machine()


def _git(folder: Path, *arguments: str) -> str:
    # Variables such as GIT_DIR, set inside git hooks, would point at another repository.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=True,
        env=environment,
    )
    return done.stdout.strip()


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise UserError(f"the configuration {path} cannot be read: {error.strerror}") from error

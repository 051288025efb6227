"""Corpora that are at home in a public Git repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from dualmode.data.folder import incomplete
from dualmode.errors import UserError


def get_repository(home: str, folder: Path, name: str, size: str, repair: str) -> None:
    """Get a repository into ``folder``, which appears only once it is whole.

    Args:
        home: address of the repository.
        folder: must not be there.
        name: of the corpus, for the line that says what is got.
        size: about how large it is, such as "30 MB".
        repair: what the user can do if it cannot be got.

    Raises:
        UserError: git is missing or the download failed.
    """
    partial = incomplete(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(partial, ignore_errors=True)
    print(f"getting {name} from {home} (about {size})", file=sys.stderr)
    try:
        done = subprocess.run(
            ["git", "clone", "--quiet", "--depth", "1", home, str(partial)],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},  # never wait for a password
        )
    except FileNotFoundError:
        raise UserError(f"git is not installed, so {home} cannot be cloned: install git, or {repair}") from None
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"git ended with status {done.returncode}"
        raise UserError(f"cannot clone {home}: {reason}: check the network, or {repair}")
    partial.rename(folder)

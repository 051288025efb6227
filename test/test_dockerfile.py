"""The image is made by the commands of the README, from what git has."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOUSEKEEPING = ("apt-get update", "rm -rf /var/lib/apt/lists/*", "rm -rf /root/.cache")


def instructions() -> list[tuple[str, str]]:
    lines = [line for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    return [tuple(line.split(maxsplit=1)) for line in "\n".join(lines).replace("\\\n", "").splitlines()]


def test_what_is_run_is_what_the_readme_says():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = [part.strip() for name, what in instructions() if name == "RUN" for part in what.split("&&")]
    own = [command for command in commands if command not in HOUSEKEEPING]
    install, *others = own
    assert install.startswith("apt-get install ") and len(others) >= 3
    for command in others:
        assert re.search(rf"^{re.escape(command)}\b|`{re.escape(command)}`", readme, re.MULTILINE), command
    packages = set(shlex.split(install)[2:])
    named = re.search(r"On Debian or Ubuntu .*?\(packages (.*?)\)", readme, re.DOTALL)[1]
    assert set(re.findall(r"`(.+?)`", named)) <= packages and "g++" in packages


def test_what_git_ignores_does_not_enter_the_image():
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    left_out = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for pattern in ignored:
        name = pattern.strip("/")
        assert (name if "/" in pattern.rstrip("/") else f"**/{name}") in left_out, pattern
    assert ".git" in left_out

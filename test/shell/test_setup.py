"""tools/setup.sh with stubs for Python and uv: what it finds, makes, repairs and leaves alone."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


class SetUp:
    """A copy of the project whose set-up finds only stubs of Python."""

    def __init__(self, folder: Path):
        self.project, self.bin, self.calls_file = folder / "the project", folder / "bin", folder / "calls"
        for name in ("tools", "runtime"):
            (self.project / name).mkdir(parents=True)
        for name in ("setup.sh", "constraints.txt", "build-constraints.txt", "overrides.txt"):
            shutil.copy(ROOT / "tools" / name, self.project / "tools")
        for name in ("pyproject.toml", "runtime/setup.py", "runtime/pyproject.toml"):
            shutil.copy(ROOT / name, self.project / name)
        self.bin.mkdir()
        shutil.copy(ROOT / "test" / "shell" / "stub_base_python.sh", self.bin / "python3")
        self.venv = self.project / "tools" / "venv"
        # Nothing but what the script calls, so that no other Python is found; df says what a test wants.
        programs = "awk bash cat chmod cp dirname env find flock grep mkdir mv rm sed sha256sum sort tail touch"
        for program in programs.split():
            (self.bin / program).symlink_to(shutil.which(program))
        (self.bin / "df").write_text("#!/bin/bash\nprintf 'Avail\\n%s\\n' \"${FREE_KB:-99000000}\"\n")
        (self.bin / "df").chmod(0o755)
        self.environment = {"PATH": str(self.bin), "CALLS": str(self.calls_file), "HOME": os.environ.get("HOME", "/")}

    def run(self, *options: str, status: int = 0, **variables: str) -> str:
        done = subprocess.run(
            [shutil.which("bash"), str(self.project / "tools" / "setup.sh"), *options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment | variables,
        )  # fmt: skip
        assert done.returncode == status, done.stdout
        return done.stdout

    def installs(self) -> list[str]:
        """Return what uv was asked to install since this was last asked."""
        calls = self.calls_file.read_text().splitlines() if self.calls_file.exists() else []
        self.calls_file.unlink(missing_ok=True)
        return [call.rpartition("--editable ")[2] for call in calls]


@pytest.fixture
def setup(tmp_path):
    return SetUp(tmp_path)


def test_first_time_then_nothing(setup):
    output = setup.run()
    assert "99 GB free" in output and output.endswith("is ready\n")
    assert setup.installs() == [".[train]"]
    assert setup.run() == f"setup: {setup.venv} is up to date\n"
    assert setup.installs() == []


def test_test_tools_are_added_once_and_kept(setup):
    setup.run()
    assert "updating" in setup.run("--with-tests")
    assert "up to date" in setup.run("--with-tests")
    assert "up to date" in setup.run()
    (setup.project / "pyproject.toml").write_text("# other pins\n")
    assert "updating" in setup.run()
    assert setup.installs() == [".[train]", ".[test,train]", ".[test,train]"]


def test_an_update_that_failed_forgets_no_extra(setup):
    setup.run("--with-device")
    (setup.project / "pyproject.toml").write_text("# other pins\n")
    setup.run(status=1, UV_STATUS="1")
    setup.run()
    assert setup.installs() == [".[export,train]"] * 3


def test_an_environment_under_another_name_is_not_emptied(setup, tmp_path):
    """As where a home folder has another place on each machine."""
    setup.run()
    stamp = setup.venv / ".dualmode-stamp"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.symlink_to(setup.venv)
    stamp.write_text(stamp.read_text().replace(f"environment {setup.venv}", f"environment {elsewhere}"))
    activate = setup.venv / "bin" / "activate"
    activate.write_text(activate.read_text().replace(str(setup.venv), str(elsewhere)))
    (setup.venv / "in use").touch()
    assert f"{setup.venv} is {elsewhere} under another name" in setup.run(status=1)
    assert (setup.venv / "in use").exists()


def test_after_a_failed_or_killed_installation_it_goes_on(setup):
    assert "Run the same command again to go on" in setup.run(status=1, UV_STATUS="1")
    assert "updating" in setup.run()
    assert "up to date" in setup.run()


def test_half_an_environment_is_made_anew(setup):
    setup.venv.mkdir()
    (setup.venv / ".dualmode").touch()  # what is there when venv is killed early
    (setup.venv / "bin").mkdir()
    assert "emptying" in setup.run()


def test_somebodys_folder_is_left_alone(setup, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    assert "was not made by this script" in setup.run("--venv", str(tmp_path / "mine"), status=1)
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_a_moved_project_gets_its_environment_anew(setup, tmp_path):
    setup.run()
    setup.project = setup.project.rename(tmp_path / "moved")
    assert "emptying" in setup.run()


def test_another_python_makes_it_anew(setup):
    setup.run()
    other = setup.bin / "other-python"
    other.write_text((setup.bin / "python3").read_text().replace("${VERSION:-3.11}", "3.12"))
    other.chmod(0o755)
    output = setup.run("--python", "other-python")
    assert "emptying" in output and "Python 3.12.0" in output
    assert "up to date" in setup.run()  # the one that is there counts, not the first one found


def test_no_suitable_python_lists_what_was_tried(setup):
    output = setup.run(status=1, VERSION="3.9")
    assert "python3: is Python 3.9\n  python3.12: not found\n" in output and "apt install python3-venv" in output
    assert not (setup.venv / "bin").exists()


def test_no_venv_module(setup):
    assert "python3: is Python 3.11 without the venv module" in setup.run(status=1, NO_VENV="1")


def test_too_little_disk_space(setup):
    output = setup.run(status=1, FREE_KB="3000000")
    assert "3 GB free" in output and "too little disk space" in output
    assert setup.installs() == []


def test_a_second_set_up_waits_for_the_first(setup):
    setup.venv.mkdir()
    holder = subprocess.Popen(
        ["flock", str(setup.venv), "bash", "-c", "echo held; read -r"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout.readline() == "held\n"
    second = subprocess.Popen(
        [shutil.which("bash"), str(setup.project / "tools" / "setup.sh")],
        stdout=subprocess.PIPE, text=True, env=setup.environment,
    )  # fmt: skip
    assert "another set-up" in second.stdout.readline()
    assert setup.installs() == []
    holder.communicate("go\n")
    output, _ = second.communicate(timeout=60)
    assert second.returncode == 0 and output.endswith("is ready\n")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--nonsense"], "unknown option --nonsense"),
        (["--venv"], "--venv needs a value"),
        (["--python", "no"], "no: not found"),
    ],
)
def test_bad_options(setup, options, sentence):
    assert sentence in setup.run(*options, status=1)


def test_help(setup):
    assert "--with-tests" in setup.run("--help") and not setup.venv.exists()

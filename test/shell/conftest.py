"""A corpus whose recipe runs a stub for Python, for the tests of the recipe's shell."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN_SH = """\
#!/usr/bin/env bash
source "{root}/egs/common/recipe.sh"
about="A corpus of nothing." title=Fake notes=("Nothing was recognised.")
test_sets=(test) token_type=char vocab_size='' speeds=1.0 needed_gb=0 places=(from)
own_options() {{ option from DIR "" "where it comes from"; option size N 3 "how much of it"; }}
prepare_data() {{
  prepare_command=(python local/prepare.py --out "${{work_dir:-.}}" --size "$size" ${{from:+--from "$from"}})
}}
recipe "$@"
"""


class Corpus:
    """A corpus folder whose recipe runs the stub."""

    PATIENCE_S = 60

    def __init__(self, folder: Path):
        self.folder, self.calls_file = folder, folder / "calls"
        (folder / "conf" / "tuning").mkdir(parents=True)
        for name in ("tuning/pretrain", "tuning/prune", "tuning/asr", "decode_dense", "decode_sparse"):
            (folder / "conf" / f"{name}.yaml").write_text(f"name: {name}\n")
        with open(folder / "conf" / "decode_sparse.yaml", "a") as out:
            out.write("sparsity: 0.7\nchunk_ms: 640\n")
        (folder / "local").mkdir()
        (folder / "local" / "prepare.py").write_text("# the stub does it\n")
        (folder / "run.sh").write_text(RUN_SH.format(root=ROOT))
        (folder / "run.sh").chmod(0o755)
        (folder / "env" / "bin").mkdir(parents=True)
        shutil.copy(ROOT / "test" / "shell" / "stub_python.sh", folder / "env" / "bin" / "python")
        self.environment = os.environ | {
            "DUALMODE_VENV": str(folder / "env"),
            "CALLS": str(self.calls_file),
            "CORPUS": str(folder),
        }

    def start(
        self, *options: str, cwd: Path | None = None, start_new_session: bool = False, **variables: str
    ) -> subprocess.Popen:
        return subprocess.Popen(
            [str(self.folder / "run.sh"), *options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=self.environment | variables, cwd=cwd or self.folder, start_new_session=start_new_session,
            # A shell ignores for good what its parent ignores: SIGINT after "&" in a script, SIGHUP under nohup.
            preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGHUP)],
        )  # fmt: skip

    def run(self, *options: str, status: int = 0, **kwargs) -> str:
        """Run the recipe to its end, check its status, return what it printed."""
        process = self.start(*options, **kwargs)
        output, _ = process.communicate(timeout=self.PATIENCE_S)
        assert process.returncode == status, output
        return output

    def new_calls(self) -> list[str]:
        """Return the modules called since this was last asked."""
        calls = self.calls_file.read_text().splitlines() if self.calls_file.exists() else []
        self.calls_file.unlink(missing_ok=True)
        return [re.sub(r"^-m dualmode\.bin\.(\w+).*|^local/(\w+)\.py.*", r"\1\2", call) for call in calls]

    def hanging(self, model: str) -> list[int]:
        """Wait until the training of ``model`` hangs; return its processes."""
        file = self.folder / "exp" / model / "processes"
        self.wait_until(file.exists)
        return [int(word) for word in file.read_text().split()]

    @classmethod
    def wait_until(cls, condition) -> None:
        deadline = time.monotonic() + cls.PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(0.02)


@pytest.fixture
def corpus(tmp_path) -> Corpus:
    return Corpus(tmp_path / "a corpus")

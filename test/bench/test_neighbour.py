import os
import subprocess
import sys
from pathlib import Path

from dualmode.bench import neighbour

LETTERS = """
import os, sys
for line in sys.stdin:
    print(len(os.environ.get("OMP_WAIT_POLICY", "") + os.environ.get("GOMP_SPINCOUNT", "")), flush=True)
"""


def test_each_training_waits_as_it_is_told_and_nothing_is_left_running(monkeypatch):
    started = []

    class Answering(subprocess.Popen):
        def __init__(self, command, env=None, **more):
            if command[1] == "-m":
                command = [sys.executable, "-c", LETTERS]
            super().__init__(command, env=env, **more)
            started.append(self)

    monkeypatch.setenv("OMP_WAIT_POLICY", "active")  # of whoever measures
    monkeypatch.setenv("GOMP_SPINCOUNT", "1")
    monkeypatch.setattr(neighbour.subprocess, "Popen", Answering)
    parser = neighbour.argparse.ArgumentParser()
    neighbour.add_options(parser)
    args = parser.parse_args(["--rounds", "3"])
    args.threads = 1
    rows = neighbour.measure(args)
    assert [(row["busy_neighbours"], row["waiting"]) for row in rows] == [
        (0, "default"), (0, "passive"), (0, "brief"), (1, "default"), (1, "passive"), (1, "brief"),
    ]  # fmt: skip
    assert [row["ms"] for row in rows] == [0, 7000, 11000] * 2  # letters of passive, and of passive and 3000
    assert len(started) == 4 and all(process.wait(60) for process in started)


def test_trainings_and_recipes_wait_as_the_benchmark_says():
    brief = neighbour.WAITING["brief"]
    environment = {name: value for name, value in os.environ.items() if name not in brief}
    program = f"import os, dualmode.tasks\nprint(*map(os.environ.get, {list(brief)}))"
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split() == list(brief.values())
    recipe = (Path(__file__).parents[2] / "egs/common/recipe.sh").read_text()
    assert all(f"export {name}=${{{name}:-{value}}}" in recipe for name, value in brief.items())

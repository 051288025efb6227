"""The floor plan of the package: rooms import from the floors below them only, so that none waits for itself."""

import ast
import importlib
import re
import sys
from pathlib import Path

import pytest

from dualmode.old_names import MOVED

ROOT = Path(__file__).parents[1]
# From the ground up.  A room may import from the floors below its own, and from nothing beside it or above it.
RUNTIME = (
    ("errors",),
    ("lines", "frames", "files", "endpoint", "words", "build"),
    ("cli", "subnet", "tables", "engine"),
    ("audio", "transcript"),
    ("formats", "recordings"),
    ("recognizer",),
    ("transcribe",),
    ("__main__",),
)
FLOORS = (
    ("errors",),
    ("old_names", "commands", "lines", "extras"),
    ("frames", "config", "progress", "cli"),
    ("supernet", "cluster", "results"),
    ("data",),
    ("encoder",),
    ("asr", "pretrain"),
    ("models", "search"),
    ("decoding", "device", "align"),
    ("recognizer", "export", "tasks"),
    ("server",),
    ("bench",),
    ("bin",),
    ("__main__",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
PACKAGES = {"dualmode": (ROOT / "dualmode", FLOORS), "dualmode_runtime": (ROOT / "runtime/dualmode_runtime", RUNTIME)}
packages = pytest.mark.parametrize("package", PACKAGES)


def room_of(module: str) -> str:
    """Return the folder or file of its package that a module is in; "" for the package itself."""
    return module.split(".")[1] if "." in module else ""


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports anywhere, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return found


def files(package: str) -> dict[str, Path]:
    """Return a package's files by their module names."""
    names = {}
    folder, _ = PACKAGES[package]
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        names[".".join(parts).removesuffix(".__init__")] = path
    return names


@packages
def test_every_room_has_a_floor(package):
    rooms = {room_of(module) for module in files(package)} - {""}
    assert rooms == {room for floor in PACKAGES[package][1] for room in floor}


@packages
def test_no_import_points_upwards_or_sideways(package):
    floor = {room: number for number, rooms in enumerate(PACKAGES[package][1]) for room in rooms}
    wrong = []
    for module, path in files(package).items():
        own = room_of(module)
        if not own:
            continue
        for name in imported(path):
            other = room_of(name) if name.split(".")[0] == package else ""
            if other and other != own and floor[other] >= floor[own]:
                wrong.append(f"{module} imports {name}")
    assert not wrong


@packages
def test_no_circle_of_modules(package):
    """Also within a room; imports inside functions count, since they only hide a circle."""
    modules = files(package)
    edges = {module: imported(path) & set(modules) for module, path in modules.items()}
    waiting, done = [], set()

    def visit(module: str) -> None:
        if module in waiting:
            circle = [*waiting[waiting.index(module) :], module]
            pytest.fail(" -> ".join(circle))
        if module in done:
            return
        waiting.append(module)
        for other in sorted(edges[module]):
            visit(other)
        done.add(waiting.pop())

    for module in modules:
        visit(module)


def outside(path: Path) -> set[str]:
    """Return the top names of what a file imports, anywhere."""
    return {name.split(".")[0] for name in imported(path)}


def test_only_trainings_and_benchmarks_import_espnet():
    users = {room_of(module) for module, path in files("dualmode").items() if outside(path) & {"espnet", "espnet2"}}
    assert users == {"tasks", "bench"}


def test_the_ground_floor_needs_nothing_but_python():
    for module, path in files("dualmode").items():
        if FLOOR.get(room_of(module), 99) <= FLOOR["config"]:
            assert not outside(path) & {"torch", "numpy", "yaml"}, module


def test_the_runtime_needs_what_it_says_and_knows_nothing_of_what_is_built_on_it():
    allowed = {*sys.stdlib_module_names, "dualmode_runtime", "numpy", "soundfile", "soxr"}
    needed = {name for path in files("dualmode_runtime").values() for name in outside(path)}
    assert needed <= allowed


@pytest.mark.parametrize(
    "name",
    [
        "dualmode.decoding.searcher",
        "dualmode.decoding.inputs",
        "dualmode.results.text",
        "dualmode.device.fallback",
        *MOVED,
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_module_names_that_users_import_open(name):
    module = importlib.import_module(name)
    assert module.__name__ == MOVED.get(name, name)


def test_the_drawn_floor_plan_is_this_one():
    """docs/architecture.md draws the floors from the top down, a wide one in two lines."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawing = page.partition("## Floor plan")[2].split("```")[1].strip()
    # A room's name stands at the beginning of a line or of a column.
    drawn = [name for name in re.findall(r"(?:^| {2,})(\w+)(?= )", drawing, re.M) if name in FLOOR]
    assert len(drawn) == len(set(drawn)) == len(FLOOR)
    assert [FLOOR[name] for name in drawn] == sorted(FLOOR.values(), reverse=True)

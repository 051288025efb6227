"""The floor plan of the package: rooms import from the floors below them only, so that none waits for itself."""

import ast
import importlib
import re
from pathlib import Path

import pytest

from dualmode.old_names import MOVED

PACKAGE = Path(__file__).parents[1] / "dualmode"
# From the ground up.  A room may import from the floors below its own, and from nothing beside it or above it.
FLOORS = (
    ("errors",),
    ("old_names", "commands", "lines"),
    ("frames", "config", "files", "progress", "cli"),
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


def room_of(module: str) -> str:
    """Return the folder or file of ``dualmode`` that a module is in; "" for the package itself."""
    return module.split(".")[1] if "." in module else ""


def imported(path: Path) -> set[str]:
    """Return the modules of the package that a file imports anywhere, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return {name for name in found if name.split(".")[0] == "dualmode"}


def files() -> dict[str, Path]:
    """Return the package's files by their module names."""
    names = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        names[".".join(parts).removesuffix(".__init__")] = path
    return names


def test_every_room_has_a_floor():
    rooms = {room_of(module) for module in files()} - {""}
    assert rooms == set(FLOOR)


def test_no_import_points_upwards_or_sideways():
    wrong = []
    for module, path in files().items():
        own = room_of(module)
        if not own:
            continue
        for name in imported(path):
            other = room_of(name)
            if other and other != own and FLOOR[other] >= FLOOR[own]:
                wrong.append(f"{module} imports {name}")
    assert not wrong


def test_no_circle_of_modules():
    """Also within a room; imports inside functions count, since they only hide a circle."""
    modules = files()
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
    """Return the top names of what a file imports from other packages, anywhere."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split(".")[0])
        elif isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
    return names


def test_only_trainings_and_benchmarks_import_espnet():
    users = {room_of(module) for module, path in files().items() if outside(path) & {"espnet", "espnet2"}}
    assert users == {"tasks", "bench"}


def test_the_ground_floor_needs_nothing_but_python():
    for module, path in files().items():
        if FLOOR.get(room_of(module), 99) <= FLOOR["config"]:
            assert not outside(path) & {"torch", "numpy", "yaml"}, module


@pytest.mark.parametrize(
    "name",
    [
        "dualmode.decoding.searcher",
        "dualmode.decoding.inputs",
        "dualmode.results.text",
        "dualmode.device.engine",
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
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawing = page.partition("## Floor plan")[2].split("```")[1].strip()
    # A room's name stands at the beginning of a line or of a column.
    drawn = [name for name in re.findall(r"(?:^| {2,})(\w+)(?= )", drawing, re.M) if name in FLOOR]
    assert len(drawn) == len(set(drawn)) == len(FLOOR)
    assert [FLOOR[name] for name in drawn] == sorted(FLOOR.values(), reverse=True)

"""The engine, compiled from the sources as they are, as what the runtime opens."""

from pathlib import Path

import pytest

from dualmode_runtime import engine
from dualmode_runtime.build import LIBRARY, NoCompiler, compile_engine

DEMO = Path(__file__).parents[2] / "egs/mini/demo"
TEXTS = {"temperature": "what is the temperature in the bedroom", "news": "stop new in the hallway"}


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Path:
    """The folder of the engine and of the program equality."""
    folder = tmp_path_factory.mktemp("engine")
    try:
        compile_engine(folder, ["-O1"], [(Path(__file__).with_name("equality.cpp"), "equality")])
    except NoCompiler as error:
        if "no C++17 compiler" in str(error):
            pytest.skip(str(error))
        raise
    return folder


@pytest.fixture
def compiled(built, monkeypatch) -> Path:
    """The folder of the engine, which is what is opened in the test."""
    library = engine.load_library(built / LIBRARY)
    monkeypatch.setattr(engine, "load_library", lambda: library)
    return built


@pytest.fixture(scope="session")
def demo() -> Path:
    """The folder of mini's model and recordings."""
    return DEMO


@pytest.fixture(scope="session")
def texts() -> dict[str, str]:
    """What is heard in the recordings of ``demo``."""
    return TEXTS

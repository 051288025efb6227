"""Compiles the engine into the package; what else there is to say is in pyproject.toml."""

import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))
from dualmode_runtime.build import STAMP, NoCompiler, compile_engine  # noqa: E402


class BuildEngine(build_ext):
    """Compiles the engine, with $CXX or what is found; a checkout is of use without it, an installed package is not."""

    def run(self):
        in_place = self.inplace or self.editable_mode
        folder = (ROOT if in_place else Path(self.build_lib)) / "dualmode_runtime" / "built"
        try:
            compile_engine(folder)
        except NoCompiler as error:
            if not in_place:
                sys.exit(f"error: {error}")
            self.warn(f"{error}; PyTorch will run device files, slower (later: python -m dualmode_runtime.build)")
        if not in_place:
            (folder / STAMP).unlink()  # the sources of what is installed do not change, and need no look at each start

    def get_outputs(self):
        return []


class Wheel(bdist_wheel):
    """A wheel for any Python 3 of a platform: the engine is a library of its own, which ctypes opens."""

    def get_tag(self):
        return ("py3", "none", super().get_tag()[2])


setup(
    # The entry makes setuptools build per platform.
    ext_modules=[Extension("dualmode_runtime.built", sources=[])],
    cmdclass={"build_ext": BuildEngine, "bdist_wheel": Wheel},
)

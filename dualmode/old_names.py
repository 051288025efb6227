"""Modules and keys by the names that they once had.

Old imports go on working until version 0.3, with a DeprecationWarning; old keys of YAML files stay readable as long as
models hold them.

>>> import warnings
>>> with warnings.catch_warnings():
...     warnings.simplefilter("ignore", DeprecationWarning)
...     from dualmode.encoder.frames import FACTOR
>>> FACTOR
4
"""

import importlib
import importlib.abc
import importlib.machinery
import sys
import warnings
from collections.abc import Mapping

from dualmode.errors import UserError

ENDS = "0.3"  # the version without them
MOVED = {
    "dualmode.asr.transcripts": "dualmode.asr.references",
    "dualmode.checkpoint": "dualmode.models.weights",
    "dualmode.data.audio": "dualmode_runtime.audio.reading",
    "dualmode.data.compressed": "dualmode_runtime.audio.compressed",
    "dualmode.data.containers": "dualmode_runtime.audio.containers",
    "dualmode.data.media": "dualmode_runtime.audio.media",
    "dualmode.decoding.arpa": "dualmode.search.arpa",
    "dualmode.decoding.ctc_search": "dualmode.search.ctc_search",
    "dualmode.decoding.endpoint": "dualmode_runtime.endpoint",
    "dualmode.decoding.formats": "dualmode_runtime.formats",
    "dualmode.decoding.fusion": "dualmode.search.fusion",
    "dualmode.decoding.hotwords": "dualmode.search.hotwords",
    "dualmode.decoding.hypothesis": "dualmode.search.hypothesis",
    "dualmode.decoding.load": "dualmode.models.folder",
    "dualmode.decoding.offline": "dualmode.search.offline",
    "dualmode.decoding.pauses": "dualmode_runtime.audio.pauses",
    "dualmode.decoding.recordings": "dualmode_runtime.recordings",
    "dualmode.decoding.resample": "dualmode_runtime.audio.resample",
    "dualmode.decoding.rnnt_search": "dualmode.search.rnnt_search",
    "dualmode.decoding.scorer": "dualmode.search.scorer",
    "dualmode.decoding.search": "dualmode.search.search",
    "dualmode.decoding.searcher": "dualmode.search.searcher",
    "dualmode.decoding.standalone": "dualmode.models.one_subnet",
    "dualmode.decoding.stream": "dualmode.search.stream",
    "dualmode.decoding.transcript": "dualmode_runtime.transcript",
    "dualmode.decoding.words": "dualmode.search.words",
    "dualmode.device.build": "dualmode_runtime.build",
    "dualmode.device.engine": "dualmode_runtime.engine",
    "dualmode.encoder.frames": "dualmode.frames",
    "dualmode.files": "dualmode_runtime.files",
    "dualmode.model_card": "dualmode.models.card",
    "dualmode.supernet.self_pruning": "dualmode.encoder.two_branch",
}

KEYS = {"right_ms": "lookahead_ms"}  # of YAML files: encoder_conf, and decodings


def with_new_keys(values: Mapping, where: str) -> dict:
    """Return ``values`` by today's keys; one that is given by both of its names is a UserError.

    >>> with_new_keys({"chunk_ms": [640], "right_ms": [0]}, "encoder_conf")
    {'chunk_ms': [640], 'lookahead_ms': [0]}
    """
    for old, new in KEYS.items():
        if old in values and new in values:
            raise UserError(f"{where} has {old} and {new}, which are two names of one setting: keep {new}")
    return {KEYS.get(key, key): value for key, value in values.items()}


class _OldNames(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a moved module where it is now; the old name becomes a second entry for the same module."""

    def find_spec(self, fullname, path=None, target=None):
        return importlib.machinery.ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec):
        return None

    def get_code(self, fullname):
        """Let ``python -m`` run a moved module, too."""
        program = f"import runpy; runpy.run_module({MOVED[fullname]!r}, run_name='__main__', alter_sys=True)"
        return compile(program, fullname, "exec")

    def exec_module(self, module) -> None:
        old, new = module.__name__, MOVED[module.__name__]
        warnings.warn(f"{old} is {new} now; the old name ends with version {ENDS}", DeprecationWarning, stacklevel=2)
        sys.modules[old] = importlib.import_module(new)  # what import hands out is read from here afterwards


def install() -> None:
    """Make Python's import know the old names."""
    if not any(isinstance(finder, _OldNames) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OldNames())  # before what would find a file that an older version has left

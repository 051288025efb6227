"""What tests of trainings in processes of their own share: where these processes come from."""

import multiprocessing
import sys
from pathlib import Path

import pytest

# What takes seconds to import; torch imports _dynamo when the first optimizer is built.
PRELOADED = ["dualmode.tasks.asr", "dualmode.tasks.pretrain", "torch._dynamo", "matplotlib.backends.backend_agg"]


@pytest.fixture(scope="session")
def server():
    """Processes that start with ESPnet imported already, from one that has run nothing else.

    They also end at once.  A spawned one ends as Python does, and aborts if a thread of gloo holds a tensor until then.
    """
    sys.path.insert(0, str(Path(__file__).parent))  # for killed_training and parallel_training, which they import
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    yield context
    sys.path.remove(str(Path(__file__).parent))

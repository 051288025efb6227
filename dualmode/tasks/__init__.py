"""Thin glue to ESPnet: its trainer, YAML, checkpoints and launcher run our models."""

import os

from dualmode.tasks.patches import before_import

# Read when torch is imported.  Threads that wait for others sleep instead of spinning: beside another busy process,
# spinning slows a training down many times.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
before_import()

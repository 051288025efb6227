"""Thin glue to ESPnet: its trainer, YAML, checkpoints and launcher run our models."""

import os

from dualmode.tasks.patches import before_import

# Read when torch is imported.  Threads that wait for others spin briefly, then sleep: without spinning, small steps on
# a quiet machine take 1.7 times as long, and spinning on, they take many times as long beside another busy process
# (docs/benchmarks/neighbour.md).
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
before_import()

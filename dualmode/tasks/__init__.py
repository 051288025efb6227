"""Thin glue to ESPnet: its trainer, YAML, checkpoints and launcher run our models."""

from dualmode.tasks.patches import before_import

before_import()

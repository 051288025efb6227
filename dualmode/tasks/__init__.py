"""Thin glue to ESPnet: its trainer, YAML, checkpoints and launcher run our models."""

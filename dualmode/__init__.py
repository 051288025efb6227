"""Speech recognition models that are trained once and run twice."""

__version__ = "0.1.0"

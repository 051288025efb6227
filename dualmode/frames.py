"""The two clocks of :mod:`dualmode_runtime.frames`, the package below."""

from dualmode_runtime.frames import (
    EXTRA,
    FACTOR,
    FEATURE_MS,
    FRAME_MS,
    LAST_FRAME_MS,
    SAMPLE_RATE,
    frames_from_ms,
    subsampled,
)

__all__ = ["EXTRA", "FACTOR", "FEATURE_MS", "FRAME_MS", "LAST_FRAME_MS", "SAMPLE_RATE", "frames_from_ms", "subsampled"]

"""The two clocks, feature frames of 10 ms and encoder frames of 40 ms made of them, and the scale of samples.

Encoder frame t sees feature frames 4t to 4t + 6, and the last of those hears 25 ms of audio::

    feature frames (10 ms)   0  1  2  3  4  5  6  7  8  9 10
    encoder frame 0          x  x  x  x  x  x  x
    encoder frame 1                      x  x  x  x  x  x  x

Without torch and without numpy: data, training, decoding and devices all count with this file.
"""

from dualmode_runtime.errors import UserError

SAMPLE_RATE = 16000  # Hz, of all audio behind the resampler
# Of float samples: decoders of lossy formats overshoot 1.0 by a little, samples that are still on the 16-bit integer
# scale by four orders of magnitude.  Features depend on the scale, so only the first may pass.
MAX_PEAK = 4.0
FEATURE_MS = 10  # one feature frame
FACTOR = 4  # feature frames an encoder frame
FRAME_MS = FACTOR * FEATURE_MS  # one encoder frame
EXTRA = 3  # feature frames that a chunk needs beyond FACTOR for each of its encoder frames
# Audio that an encoder frame needs beyond its own 40 ms: 7 feature frames, 10 ms apart and 25 ms long, of which the
# first begins 7.5 ms early, since windows are centred.
LAST_FRAME_MS = 37.5


def subsampled(length):
    """Return how many encoder frames ``length`` feature frames give (int or Tensor).

    >>> [subsampled(length) for length in (6, 7, 10, 11, 67)]
    [0, 1, 1, 2, 16]
    """
    frames = (length - FACTOR - EXTRA) // FACTOR + 1
    return frames.clamp(min=0) if hasattr(frames, "clamp") else max(frames, 0)


def frames_from_ms(ms: float, what: str) -> int:
    """Return ``ms`` in encoder frames; ``what`` names the setting in the error.

    >>> frames_from_ms(640, "chunk")
    16

    Raises:
        UserError: ``ms`` is no multiple of the encoder frame of 40 ms.
    """
    if ms != ms or ms % FRAME_MS:
        raise UserError(f"{what} is {ms:g} ms: it must be a multiple of the encoder frame of {FRAME_MS} ms")
    return int(ms // FRAME_MS)

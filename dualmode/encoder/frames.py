"""How feature frames of 10 ms become encoder frames of 40 ms.  Without torch: the data side counts the same way."""

FACTOR = 4  # feature frames (10 ms) an encoder frame (40 ms)
EXTRA = 3  # feature frames that a chunk needs beyond FACTOR for each of its encoder frames


def subsampled(length):
    """Return how many encoder frames ``length`` feature frames give (int or Tensor).

    >>> [subsampled(length) for length in (6, 7, 10, 11, 67)]
    [0, 1, 1, 2, 16]
    """
    frames = (length - FACTOR - EXTRA) // FACTOR + 1
    return frames.clamp(min=0) if hasattr(frames, "clamp") else max(frames, 0)

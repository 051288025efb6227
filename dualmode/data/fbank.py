"""Log-mel filter banks as the on-device runtime computes them (kaldi-native-fbank): 80 bins, 25 ms every 10 ms.

Frame t is centred on sample 160 t + 80; past either end the signal is mirrored (``snip_edges`` false):

    samples    0        160       320       480
               |---------|---------|---------|
    frame 0  [..............]                        400 samples, 120 of them mirrored
    frame 1            [..............]

so ``n`` samples have ``(n + 80) // 160`` frames.  Digital silence is log(FLT_EPSILON) = -15.9424 in every bin.
"""

import kaldi_native_fbank
import numpy as np

from dualmode.frames import FEATURE_MS, SAMPLE_RATE

BINS = 80
SILENCE = float(np.log(np.finfo(np.float32).eps))


def _options() -> kaldi_native_fbank.FbankOptions:
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = SAMPLE_RATE
    options.frame_opts.frame_length_ms = 25.0
    options.frame_opts.frame_shift_ms = float(FEATURE_MS)
    options.frame_opts.dither = 0.0
    options.frame_opts.snip_edges = False
    options.mel_opts.num_bins = BINS
    options.mel_opts.low_freq = 20.0
    options.mel_opts.high_freq = -400.0
    return options


class OnlineFbank:
    """Features of a signal that arrives piece by piece; equal to :func:`fbank` of the whole, bit for bit.

    A frame is ready once all its 400 samples are there; the last frames, which mirror the end of the signal, once
    :meth:`input_finished` was called.

        extractor = OnlineFbank()
        extractor.accept_waveform(piece)
        features = extractor.take()          # the frames that became ready since the last call
    """

    def __init__(self):
        self._extractor = kaldi_native_fbank.OnlineFbank(_options())
        self._taken = 0
        self._finished = False

    def accept_waveform(self, samples: np.ndarray) -> None:
        """Add (samples,) float32 in [-1, 1] at 16 kHz; any number of them, also none."""
        if self._finished:
            raise ValueError("accept_waveform after input_finished")
        if samples.ndim != 1:
            raise ValueError(f"expected one channel of shape (samples,), got {samples.shape}")
        if len(samples):
            self._extractor.accept_waveform(SAMPLE_RATE, np.ascontiguousarray(samples, dtype=np.float32))

    def input_finished(self) -> None:
        """Say that no more samples follow; the remaining frames become ready."""
        if not self._finished:
            self._finished = True
            self._extractor.input_finished()

    @property
    def frames_ready(self) -> int:
        """Frames ready since the start, the ones already taken among them."""
        return self._extractor.num_frames_ready

    def take(self) -> np.ndarray:
        """Return the ready frames not taken before, (frames, 80) float32, and free their memory."""
        ready = self.frames_ready
        features = np.empty((ready - self._taken, BINS), dtype=np.float32)
        for row, frame in enumerate(range(self._taken, ready)):
            features[row] = self._extractor.get_frame(frame)
        self._extractor.pop(ready - self._taken)
        self._taken = ready
        return features


def fbank(samples: np.ndarray) -> np.ndarray:
    """Return the log-mel features, ((samples + 80) // 160, 80) float32, of samples (samples,) in [-1, 1] at 16 kHz."""
    extractor = OnlineFbank()
    extractor.accept_waveform(samples)
    extractor.input_finished()
    return extractor.take()

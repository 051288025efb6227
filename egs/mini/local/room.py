"""What happens to speech between the mouth and the file: silence around it, noise, gain."""

import numpy as np

SAMPLE_RATE = 16000
CLEAN_SHARE = 0.2  # of the utterances have no noise
SILENT_EDGE_SHARE = 0.4  # of the edges are digital silence: files are padded and devices gate, also the runtime pads
SNR_DB = (10.0, 40.0)
PEAK_DBFS = (-24.0, -1.0)
EDGE_MS = (50, 500)


def pink_noise(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return (samples,) noise of unit power whose power falls by 3 dB an octave."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    noise = np.fft.irfft(spectrum, samples)
    return noise / np.sqrt(np.mean(noise**2))


def record(speech: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put ``speech`` (samples,) at 16 kHz into an acoustic scene.

        [zeros?]  noise  noise + speech  noise  [zeros?]

    Returns:
        (samples,) float32 in [-1, 1].
    """
    before, after = (int(rng.integers(EDGE_MS[0], EDGE_MS[1] + 1)) * SAMPLE_RATE // 1000 for _ in range(2))
    scene = np.pad(speech.astype(np.float64), (before, after))
    if rng.random() >= CLEAN_SHARE:
        power = np.mean(speech.astype(np.float64) ** 2)
        noise = pink_noise(len(scene), rng) if rng.random() < 0.5 else rng.standard_normal(len(scene))
        scene += noise * np.sqrt(power / 10 ** (rng.uniform(*SNR_DB) / 10))
    if rng.random() < SILENT_EDGE_SHARE:
        scene[: before // 2] = 0.0
    if rng.random() < SILENT_EDGE_SHARE:
        scene[len(scene) - after // 2 :] = 0.0
    scene *= 10 ** (rng.uniform(*PEAK_DBFS) / 20) / np.abs(scene).max()
    return scene.astype(np.float32)

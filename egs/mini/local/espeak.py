"""Speak lines of JSON with espeak-ng, from the library inside the PyPI package espeakng-loader.

Standard input has one {"voice", "rate", "pitch", "range", "text"} a line; for each, standard output gets the number of
samples (32-bit little-endian) and the samples (16-bit, 22050 Hz, mono).

It is a program of its own for two reasons.  espeak-ng keeps state from one utterance to the next (noise generators,
filters), so that only a fresh process says the same thing twice; and it is C code: a crash ends this process alone.
"""

import ctypes
import json
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

SAMPLE_RATE = 22050
_RETRIEVAL = 1  # audio to the callback, not to a sound card
_RATE, _PITCH, _RANGE = 1, 3, 4
_UTF8 = 1


@dataclass(frozen=True)
class Speech:
    """What to say: ``rate`` in words a minute (80 to 450), ``pitch`` and ``range`` (of the pitch) 0 to 100."""

    voice: str
    rate: int
    pitch: int
    range: int
    text: str


def speak(speeches: Sequence[Speech]) -> list[bytes]:
    """Return the samples of each speech, spoken one after the other by one fresh process.

    Raises:
        UserError: the process failed; the message has what it said last.
    """
    from dualmode.errors import UserError  # the program that is started needs nothing of the package

    lines = "".join(json.dumps(asdict(speech)) + "\n" for speech in speeches)
    done = subprocess.run([sys.executable, __file__], input=lines.encode("utf-8"), capture_output=True)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().split("\n")[-1] or f"status {done.returncode}"
        raise UserError(
            f"espeak-ng cannot speak: {said}: is the package espeakng-loader installed as tools/setup.sh does?"
        )
    results, position = [], 0
    for _ in speeches:
        (count,) = struct.unpack_from("<i", done.stdout, position)
        position += 4
        results.append(done.stdout[position : position + 2 * count])
        position += 2 * count
    return results


def main() -> None:
    import espeakng_loader

    data = Path(espeakng_loader.get_data_path())
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(_RETRIEVAL, 0, str(data).encode(), 0)
    if rate != SAMPLE_RATE:
        sys.exit(f"espeak_Initialize answers {rate}, expected the sample rate {SAMPLE_RATE}; its data is in {data}")
    # Breathy voices are made with random numbers, which espeak-ng otherwise draws from the time of day.
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))
    samples = bytearray()

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def collect(wave, count, _events):
        if wave and count > 0:
            samples.extend(ctypes.string_at(wave, 2 * count))
        return 0

    library.espeak_SetSynthCallback(collect)
    for line in sys.stdin.buffer:
        speech = Speech(**json.loads(line))
        variant = speech.voice.partition("+")[2]
        # espeak-ng takes the plain voice, without a word, where it does not find the variant.
        if variant and not (data / "voices" / "!v" / variant).is_file():
            sys.exit(f"espeak-ng has no variant {variant}")
        if library.espeak_SetVoiceByName(speech.voice.encode()):
            sys.exit(f"espeak-ng has no voice {speech.voice}")
        for parameter, value in ((_RATE, speech.rate), (_PITCH, speech.pitch), (_RANGE, speech.range)):
            library.espeak_SetParameter(parameter, value, 0)
        text = speech.text.encode("utf-8") + b"\0"
        samples.clear()
        if library.espeak_Synth(text, len(text), 0, 1, 0, _UTF8, None, None) or library.espeak_Synchronize():
            sys.exit(f"espeak-ng cannot say {speech.text!r}")
        sys.stdout.buffer.write(struct.pack("<i", len(samples) // 2) + samples)


if __name__ == "__main__":
    main()

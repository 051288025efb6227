"""The README of an exported folder: what it is, and a program that runs it."""

from collections.abc import Iterator, Mapping
from typing import Any

from dualmode.frames import FRAME_MS
from dualmode.models.card import LICENCE, front_matter
from dualmode.models.loaded import LoadedModel
from dualmode.supernet.storage import kept_parameters
from dualmode.supernet.view import ALL

WHOLE = """\
stream = recognizer.create_stream()
stream.accept_waveform(rate, samples)
recognizer.decode_stream(stream)
print(stream.result.text)"""
CHUNKS = """\
stream = recognizer.create_stream()
stream.accept_waveform(rate, samples)  # or piece by piece, as it is recorded
stream.accept_waveform(rate, np.zeros(int({missing_s:g} * rate), np.float32))  # a chunk that is not full is dropped
stream.input_finished()
while recognizer.is_ready(stream):
    recognizer.decode_stream(stream)
print(recognizer.get_result(stream))"""


def export_card(name: str, loaded: LoadedModel, about: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the README.

    Args:
        name: of the folder.
        loaded: what was exported.
        about: what its export.json says.
    """
    whole, kind = about["chunk_ms"] is None, "CTC" if about["kind"] == "ctc" else "RNN-T"
    yield from front_matter("sherpa-onnx", "onnx", "streaming" if not whole else "offline", kind.lower())
    yield from ("", f"# {name}", "")
    recogniser = "offline recogniser, which hears whole files" if whole else "streaming recogniser"
    kept, total = (about[f"params_{which}"] / 1e6 for which in ("kept", "total"))
    yield (
        f"A speech recogniser ({kind}) for sherpa-onnx's {recogniser}: {loaded.subnet}. It is one sub-network of a "
        f"supernet of `dualmode`, {kept:.2f} M of its {total:.2f} M parameters{_zeros(loaded)}."
    )
    yield from ("", "| file | what |", "| :-- | :-- |")
    for precision, files in about["files"].items():
        yield from (f"| `{file}` | {precision}, {size} bytes |" for file, size in files.items())
    yield from ("| `tokens.txt` | the vocabulary |", "| `export.json` | how it was exported |", "", "## Use", "")
    yield "With `pip install sherpa-onnx soundfile`, in this folder; other languages are in sherpa-onnx's documents:"
    yield from ("", "```python", *(() if whole else ("import numpy as np",)))
    yield from ("import sherpa_onnx", "import soundfile", "")
    yield f"recognizer = sherpa_onnx.{'Offline' if whole else 'Online'}Recognizer.{_opened(about, whole)}"
    yield 'samples, rate = soundfile.read("speech.wav", dtype="float32")  # mono'
    yield from (WHOLE if whole else CHUNKS.format(missing_s=missing_s(about))).splitlines()
    yield from ("```", "", "## Licence", "", LICENCE)


def missing_s(about: Mapping[str, Any]) -> float:
    """Return the silence that fills the last chunk, whatever is missing of it: it waits for its look-ahead, too."""
    return (about["chunk_ms"] + (about["lookahead_ms"] or 0) + FRAME_MS) / 1000


def _zeros(loaded: LoadedModel) -> str:
    # A model whose pruned units were taken out has no more parameters than are kept.
    if kept_parameters(loaded.model, ALL) == loaded.parameters_kept:
        return ""
    return "; those that were pruned are stored as zeros here"


def _opened(about: Mapping[str, Any], whole: bool) -> str:
    """Return the call that opens the float files."""
    names = list(about["files"]["fp32"])
    if about["kind"] == "ctc":
        return f'from_zipformer{"" if whole else "2"}_ctc(model="{names[0]}", tokens="tokens.txt")'
    parts = ", ".join(f'{part}="{name}"' for part, name in zip(("encoder", "decoder", "joiner"), names, strict=True))
    return f'from_transducer({parts}, tokens="tokens.txt", model_type="{"transducer" if whole else "ebranchformer"}")'

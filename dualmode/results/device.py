"""Sets decoded in a device runtime: ``exp/asr_X/device_*/{text,device.json}`` scored into rows and a table."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from dualmode.errors import UserError
from dualmode.results.decodes import Row
from dualmode.results.score import score_files
from dualmode.results.table import context, megabytes, weights

COPIED = ("set", "runtime", "precision", "sparsity", "chunk_ms", "lookahead_ms", "left_ms", "bytes", "rtf")
MEASURED = ("peak_memory_bytes", "memory_before_bytes", "transcripts_differ", "utterances")

MEASURES = """\
- RTF on one thread, of decoding from samples to text, features included. Peak memory: the most that the process had;
  in brackets, what came after Python and NumPy were loaded: the runtime's library, the model and its work.
- Differ: utterances whose transcript is not the one of PyTorch above. sherpa-onnx runs full chunks only, so zeros are
  appended to the audio until the last one is full; PyTorch and our engine run the shorter chunk. Of an RNN-T,
  sherpa-onnx puts out one token a frame of 40 ms at most, PyTorch and our engine three."""


def read_devices(exp: Path, data_dir: Path) -> list[Row]:
    """Score every ``device_*`` folder that stage 7 left; an empty list where there is none.

    Raises:
        UserError: one is damaged, or its set has no reference.
    """
    rows = []
    for folder in sorted(path.parent for path in exp.glob("device_*/device.json")):
        try:
            meta = json.loads((folder / "device.json").read_text(encoding="utf-8"))
            row = {key: meta[key] for key in (*COPIED, *MEASURED, "command")}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{folder}/device.json or the text beside it is damaged ({error}): run stage 7 again"
            ) from error
        score = score_files(data_dir / row["set"] / "text", folder / "text").as_json()
        rows.append(row | {key: score[key] for key in ("wer", "cer")})
    return sorted(rows, key=lambda row: (row["set"], row["runtime"], row["precision"]))


def device_section(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the lines of RESULTS.md about rows of :func:`read_devices`."""
    yield from ("## On a device", "")
    yield "| set | runtime | precision | weights | context | WER % | differ | file | peak memory | RTF |"
    yield "| :-- | :-- | :-- | :-- | :-- | --: | --: | --: | --: | --: |"
    for row in rows:
        own = row["peak_memory_bytes"] - row["memory_before_bytes"]
        differ = "-" if row["transcripts_differ"] is None else f"{row['transcripts_differ']} of {row['utterances']}"
        where = context(row["chunk_ms"], row["lookahead_ms"], row["left_ms"])
        memory = f"{megabytes(row['peak_memory_bytes'])} ({megabytes(own)})"
        cells = (row["set"], row["runtime"], row["precision"], weights(row["sparsity"]), where, f"{row['wer']:.2f}")
        yield "| " + " | ".join((*cells, differ, megabytes(row["bytes"]), memory, f"{row['rtf']:.4f}")) + " |"
    yield from ("", MEASURES)

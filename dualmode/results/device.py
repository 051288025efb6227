"""Sets decoded in a device runtime: ``exp/asr_X/device_*/{text,device.json}`` scored into rows and a table."""

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

from dualmode.results.decodes import NUMBER, NUMBER_OR_NONE, Fields, Row, read_fields, score_beside
from dualmode.results.table import context, megabytes, weights
from dualmode_runtime.files import sha256_of

# What device.json must hold, and of which type; all of it is in the row.
FIELDS: Fields = {
    "set": (str,),
    "runtime": (str,),
    "precision": (str,),
    "sparsity": NUMBER,
    "chunk_ms": NUMBER_OR_NONE,
    "lookahead_ms": NUMBER_OR_NONE,
    "left_ms": NUMBER_OR_NONE,
    "bytes": (int,),
    "rtf": NUMBER,
    "peak_memory_bytes": (int,),
    "memory_before_bytes": (int,),
    "transcripts_differ": (int, type(None)),
    "utterances": (int,),
    "command": (str,),
}
# The SHA-256 of the transcripts that it was compared with; those that were written before lack it.
COMPARED = "reference_sha256"
AGAIN = "run stage 7 again"

MEASURES = """\
- RTF on one thread, of decoding from samples to text, features included. Peak memory: the most that the process had;
  in brackets, what came after Python and NumPy were loaded: the runtime's library, the model and its work.
- Differ: utterances whose transcript is not the one of PyTorch above. sherpa-onnx runs full chunks only, so zeros are
  appended to the audio until the last one is full; PyTorch and our engine run the shorter chunk. Of an RNN-T,
  sherpa-onnx puts out one token a frame of 40 ms at most, PyTorch and our engine three."""


def read_devices(exp: Path, data_dir: Path) -> tuple[list[Row], list[str]]:
    """Score every ``device_*`` folder that stage 7 left.

    One that was compared with transcripts that ``exp`` no longer has is of weights, or of a sub-network, of before.

    Returns:
        The rows, and the names of the folders that are left out because they are of before.

    Raises:
        UserError: one is unfinished or damaged, its set has no reference, or texts and references differ.
    """
    rows, of_before = [], []
    for path in sorted(exp.glob("device_*/device.json")):
        meta = read_fields(path, FIELDS, {COMPARED: (str, type(None))}, AGAIN)
        decoded = map(sha256_of, exp.glob(f"decode_*_{glob.escape(meta['set'])}/text"))
        if meta.get(COMPARED) and meta[COMPARED] not in decoded:
            of_before.append(path.parent.name)
            continue
        score = score_beside(path, meta, data_dir, AGAIN).as_json()
        rows.append({key: meta[key] for key in FIELDS} | {key: score[key] for key in ("wer", "cer")})
    return sorted(rows, key=lambda row: (row["set"], row["runtime"], row["precision"])), of_before


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

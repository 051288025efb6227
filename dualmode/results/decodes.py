"""Decoded sets: ``exp/asr_X/decode_*/{text,decode.json}`` scored into the rows of the results."""

import hashlib
import json
import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dualmode.errors import UserError
from dualmode.results.delays import STATISTICS, DelayStatistics, read_delays
from dualmode.results.score import Score, score_files

NUMBER = (int, float)
NUMBER_OR_NONE = (*NUMBER, type(None))
Fields = Mapping[str, tuple[type, ...]]
# What decode.json must hold, and of which type.
FIELDS: Fields = {
    "set": (str,),
    "subnet": (str,),
    "sparsity": NUMBER,
    "chunk_ms": NUMBER_OR_NONE,
    "lookahead_ms": NUMBER_OR_NONE,
    "left_ms": NUMBER_OR_NONE,
    "params_total": (int,),
    "params_kept": (int,),
    "bytes": (int,),
    "rtf": NUMBER,
    "audio_s": NUMBER,
    "decode_s": NUMBER,
    "utterances": (int,),
    "threads": (int,),
    "batch_size": (int,),
    "checkpoint": (str,),
    "seed": (int, type(None)),
    "command": (str,),
}
# What it holds of the search; those that were written before lack some of it.
SEARCH: Fields = {
    "beam_size": (int,),
    "lm": (str, type(None)),
    "lm_sha256": (str,),
    "lm_weight": NUMBER,
    "hotwords": (list,),
    "hotword_boost": NUMBER,
}
IN_ROW = ("set", "subnet", "sparsity", "chunk_ms", "lookahead_ms", "left_ms")
MEASURED = ("params_total", "params_kept", "bytes", "rtf")
SHOWN = 40  # characters of hotwords that a table shows
AGAIN = "decode it again (stage 5)"

Row = dict[str, Any]


@dataclass(frozen=True)
class Decode:
    """One set decoded with one sub-network: its folder, its decode.json, its score, its emission delays if measured."""

    folder: Path
    meta: dict[str, Any]
    score: Score
    delays: DelayStatistics | None = None

    def row(self) -> Row:
        """Return the row of results.json; ``wer`` and ``cer`` in percent; unmeasured delays are None."""
        score = self.score.as_json()
        counts = {key: score[key] for key in ("wer", "cer", "sub", "del", "ins", "words", "utterances")}
        measured = {key: self.meta[key] for key in MEASURED} | {"emission_delay": self.delays}
        return self.about() | counts | measured

    def about(self) -> Row:
        """Return what was run: IN_ROW, and how it was searched where that was not greedily."""
        how = searched(self.meta)
        return {key: self.meta[key] for key in IN_ROW} | ({"search": how} if how else {})


def read_decodes(exp: Path, data_dir: Path) -> list[Decode]:
    """Read and score every ``decode_*`` folder, by set, dense before sparse, full context before chunks.

    Raises:
        UserError: there is none, one is unfinished or damaged, a set has no reference, or texts and references differ.
    """
    folders = sorted(path for path in exp.glob("decode_*") if path.is_dir())
    if not folders:
        raise UserError(f"{exp} has no decode_* folder; decode first (stage 5)")
    decodes = [read_decode(folder, data_dir) for folder in folders]
    seen: dict[tuple[str, str, str], Path] = {}
    for decode in decodes:
        key = (decode.meta["set"], decode.meta["subnet"], searched(decode.meta))
        if key in seen:
            raise UserError(f"{seen[key]} and {decode.folder} both hold {key[1]} on {key[0]}; remove the stale one")
        seen[key] = decode.folder
    return sorted(decodes, key=lambda decode: row_order(decode.meta))


def read_decode(folder: Path, data_dir: Path) -> Decode:
    """Read one folder and score its ``text`` against ``data_dir/<set>/text``."""
    meta = read_meta(folder / "decode.json")
    score = score_beside(folder / "decode.json", meta, data_dir, AGAIN)
    return Decode(folder, meta, score, read_delays(folder / STATISTICS))


def score_beside(path: Path, meta: Mapping[str, Any], data_dir: Path, again: str) -> Score:
    """Score the ``text`` beside a file that says what was decoded, against ``data_dir/<set>/text``.

    Args:
        path: of the file.
        meta: what it says.
        data_dir: folder with a folder for each set.
        again: ends a sentence: what to do.

    Raises:
        UserError: one of the texts is missing, they do not fit each other, or ``text`` is of another decoding.
    """
    folder, reference = path.parent, data_dir / meta["set"] / "text"
    if not (folder / "text").is_file():
        raise UserError(f"{folder} has no text; {again}")
    if not reference.is_file():
        raise UserError(f"there is no reference {reference} for {folder}; check --data-dir")
    score = score_files(reference, folder / "text")
    if meta["utterances"] != len(score.alignments):
        raise UserError(
            f"{folder}/text has {len(score.alignments)} utterances but {path.name} says {meta['utterances']}; {again}"
        )
    return score


def read_meta(path: Path) -> dict[str, Any]:
    """Return a checked decode.json."""
    return read_fields(path, FIELDS, SEARCH, AGAIN)


def read_fields(path: Path, fields: Fields, optional: Fields, again: str) -> dict[str, Any]:
    """Return the checked object of a JSON file that says what was decoded.

    Args:
        path: of the file.
        fields: what it must hold, a sparsity among it, and of which type.
        optional: what it may hold.
        again: ends a sentence: what to do.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        meta = json.loads(path.read_text(encoding="utf-8"), parse_constant=no_number)
    except FileNotFoundError:
        raise UserError(f"there is no {path}: decoding did not finish; {again}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); {again}") from error
    if not isinstance(meta, dict):
        raise UserError(f"{path} must hold a JSON object; {again}")
    for key, types in {**fields, **{key: types for key, types in optional.items() if key in meta}}.items():
        if key not in meta:
            raise UserError(f"{path} has no {key!r}; {again}")
        if not fits(meta[key], types):
            raise UserError(f"{path}: {key!r} cannot be {reprlib.repr(meta[key])}; {again}")
    if not 0 <= meta["sparsity"] < 1:
        raise UserError(f"{path}: sparsity is a share from 0 to below 1, not {meta['sparsity']}")
    return meta


def searched(meta: Mapping[str, Any]) -> str:
    """Say how a decode.json searched; nothing of the greedy search.

    >>> searched({"beam_size": 8, "lm": "lm/3.arpa", "lm_sha256": "1a2b3c4d5e", "lm_weight": 0.3})
    'beam 8, LM 3.arpa (1a2b3c) * 0.3'
    >>> searched({"beam_size": 8, "hotwords": ["go", "stop"], "hotword_boost": 2})
    'beam 8, hotwords (go, stop) * 2'
    >>> searched({"beam_size": 1}), searched({})
    ('', '')
    """
    if meta.get("beam_size", 1) == 1:
        return ""
    said = [f"beam {meta['beam_size']}"]
    if meta.get("lm"):
        contents = f" ({meta['lm_sha256'][:6]})" if "lm_sha256" in meta else ""
        said.append(f"LM {Path(meta['lm']).name}{contents} * {meta.get('lm_weight')}")
    if meta.get("hotwords"):
        said.append(f"hotwords ({phrases(meta['hotwords'])}) * {meta.get('hotword_boost')}")
    return ", ".join(said)


def phrases(hotwords: Sequence[str]) -> str:
    """Return hotwords as they tell one list from another: few as they are, of many how many, and a digest.

    >>> phrases(["kitchen heater"]), phrases([f"phrase {number}" for number in range(50)])
    ('kitchen heater', '50: 9f3c52')
    """
    said = ", ".join(map(str, hotwords))
    if len(said) <= SHOWN:
        return said
    return f"{len(hotwords)}: {hashlib.sha256(json.dumps(hotwords).encode()).hexdigest()[:6]}"


def row_order(row: Row) -> tuple:
    """Sort key: set, dense before sparse, full context before chunks, long chunks before short ones."""
    chunk = row["chunk_ms"]
    return row["set"], row["sparsity"], -float("inf") if chunk is None else -chunk, row["subnet"]


def rejected_utterances(path: Path) -> int:
    """Return how many utterances a rejected.tsv names (one may have several reasons); 0 where there is no such file."""
    if not path.is_file():
        return 0
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")[1:]
    return len({line.split("\t")[0] for line in lines if line.strip()})


def fits(value: object, types: tuple[type, ...]) -> bool:
    """Return whether a value of JSON is of one of the types, and finite where it is a number.

    >>> fits(0.5, NUMBER), fits(True, NUMBER), fits(float("1e999"), NUMBER), fits(None, (str,))
    (True, False, False, False)
    """
    if isinstance(value, bool) or not isinstance(value, types):
        return False
    return not isinstance(value, float) or math.isfinite(value)


def no_number(name: str) -> None:
    """Refuse what Python's JSON has and JSON has not: the ``parse_constant`` of ``json.loads``."""
    raise ValueError(f"{name} is not a number")

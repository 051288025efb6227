"""What the parts of a decoding wrote, as one."""

import json
from collections.abc import Sequence
from pathlib import Path

from dualmode.data.kaldi_dir import read_table, write_table
from dualmode.decoding.output import remove_before
from dualmode.errors import UserError

SUMS = ("audio_s", "decode_s", "utterances")


def join_decodes(parts: Sequence[Path], out: Path) -> dict:
    """Join text and n-best lists of ``parts`` into ``out``; return decode.json's values of all.

    Raises:
        UserError: a part lacks its decode.json, or two parts have an utterance in common.
    """
    metas = []
    for part in parts:
        if not (part / "decode.json").is_file():
            raise UserError(f"there is no {part / 'decode.json'}: that part was not decoded")
        try:
            meta = json.loads((part / "decode.json").read_text(encoding="utf-8"))
            metas.append(meta | {key: 0 + meta[key] for key in SUMS})
        except (ValueError, KeyError, TypeError) as error:
            what = f"{type(error).__name__}: {error}"
            raise UserError(f"{part / 'decode.json'} is damaged ({what}): decode that part again") from error
    remove_before(out)
    for name in sorted({path.relative_to(part) for part in parts for path in part.rglob("*") if path.is_file()}):
        if name.name == "decode.json" or name.name.startswith("."):  # what a part that was killed had not finished
            continue
        joined: dict[str, str] = {}
        for part in parts:
            if (part / name).is_file():  # a rank that no hypothesis of a part has
                table = read_table(part / name)
                if twice := joined.keys() & table.keys():
                    raise UserError(f"the utterance {min(twice)} is in two parts of {out}")
                joined |= table
        write_table(out / name, joined)
    sums = {key: sum(meta[key] for meta in metas) for key in SUMS}
    return metas[0] | sums | {"rtf": sums["decode_s"] / sums["audio_s"] if sums["audio_s"] else 0.0}

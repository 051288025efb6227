"""What an import says about the corpus: for the screen, and for programs."""

import unicodedata
from collections.abc import Mapping

from dualmode.data.corpus.catalogue import Catalogue
from dualmode.data.corpus.text_rule import has_numbers


def summary(catalogue: Catalogue, total: int, characters: Mapping[str, int], **more) -> dict:
    """Return counts, hours, speakers and shared speakers of the sets, what was rejected, kept, renamed, characters."""
    sets = {}
    for part in catalogue.parts():
        size = catalogue.size(part)
        sets[part] = {"utterances": size.utterances, "hours": round(size.hours, 4), "speakers": size.speakers}
        if part != "train":
            sets[part]["speakers_of_train"] = catalogue.shared_speakers(part, "train")
    short, seconds = catalogue.cut_short()
    first = next(catalogue.renamed(), None)
    example = f"{first.utt} of {first.where} is {first.other}" if first else ""
    return {
        **more,
        "utterances": total,
        "rejected": catalogue.reasons(),
        "warned": catalogue.warned_reasons(),
        "cut_short": {"recordings": short, "seconds": round(seconds, 3)},
        "renamed": {"utterances": catalogue.renamed_count(), "example": example},
        "sets": sets,
        "characters": dict(sorted(characters.items())),
    }


def lines(report: Mapping) -> list[str]:
    """Return the summary in words."""
    text = []
    for name, size in report["sets"].items():
        line = f"{name}: {size['utterances']} utterances, {size['hours']:.2f} h, {size['speakers']} speakers"
        if shared := size.get("speakers_of_train"):
            line += f", {shared} of whom are in train too"
        text.append(line)
    if report["rejected"]:
        text.append(f"rejected: {_counted(report['rejected'], report['utterances'])}")
    if report["warned"]:
        counted = _counted(report["warned"], report["utterances"])
        text.append(f"kept in test sets although they cannot be recognised without error: {counted}")
    if short := report["cut_short"]["recordings"]:
        mean = report["cut_short"]["seconds"] / short
        text.append(
            f"cut short: {short} recordings of one utterance each, by the duration or end that is said of it, and "
            f"{mean:.2f} s behind it on average are left out; --columns duration=,end= of a table takes them whole"
        )
    if count := report["renamed"]["utterances"]:
        text.append(f"renamed: {count} whose id another recording has, too (such as {report['renamed']['example']})")
    characters = report["characters"]
    shown = " ".join(list(characters)[:100]) + (" ..." if len(characters) > 100 else "")
    text.append(f"{len(characters)} characters, by text rule {report['text_rule']}: {shown}")
    return text


def _counted(reasons: Mapping[str, int], total: int) -> str:
    """Return counts by reason in words.

    >>> _counted({"no-text": 2, "too-long": 1}, 50)
    '3 of 50 (2 no-text, 1 too-long)'
    """
    return (
        f"{sum(reasons.values())} of {total} ({', '.join(f'{number} {reason}' for reason, number in reasons.items())})"
    )


def advice(characters: Mapping[str, int]) -> list[str]:
    """Return what a user may want to change about the transcripts: what makes a token list larger than it need be."""
    capitals = [char for char in characters if char != char.lower()]
    small = [char for char in characters if char != char.upper()]
    marks = [char for char in characters if unicodedata.category(char)[0] == "P" and char not in "'%&@#"]
    said = [char for char in characters if has_numbers(char)]
    notes = []
    if (capitals and small) or marks:
        what = [name for name, found in (("capitals", capitals and small), ("punctuation", marks)) if found]
        notes.append(
            f"note: transcripts have {' and '.join(what)}, which the recogniser would have to learn"
            + (f" ({' '.join(marks[:10])})" if marks else "")
            + ": dualmode import-data --text-rule plain takes them out"
        )
    if said:
        notes.append(
            f"note: transcripts have numbers or signs that are said ({' '.join(said[:10])}): write them in words, or "
            "leave such utterances out with --numbers reject of dualmode import-data"
        )
    return notes

"""Transcripts for NIST's sclite: one utterance a line, its id in brackets at the end.

    turn on the light (utt1)

``sclite -r ref.trn trn -h hyp.trn trn -i spu_id -s -e utf-8`` scores them (-s keeps case; what stands before the first
hyphen or underline of an id is taken for its speaker; of ids without one sclite complains, and counts rightly).  Its
alignments weigh a substitution 4, a deletion and an insertion 3 each, ours 1 each: where long stretches are wrong, it
may count an error more than the edit distance has.
"""

from collections.abc import Iterable, Iterator

from dualmode.errors import UserError
from dualmode.results.text import Transcripts

SPECIAL = "{}()"  # alternatives and words that may be left out
NOTHING, COMMENT = "@", ";;"
FIRST_COMMENT = "**"  # at the beginning of a line


def trn_lines(transcripts: Transcripts, utterances: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a trn file.

    Args:
        transcripts: the words of each utterance.
        utterances: those to write, in this order.

    >>> list(trn_lines({"utt1": ("turn", "on"), "utt2": ()}, ["utt2", "utt1"]))
    ['(utt2)', 'turn on (utt1)']

    Raises:
        UserError: sclite would take a word or an id for something else.
    """
    for utterance in utterances:
        words = transcripts[utterance]
        for word in (utterance, *words):
            starts = word in words[:1] and word.startswith(FIRST_COMMENT)
            if any(mark in word for mark in SPECIAL) or word == NOTHING or word.startswith(COMMENT) or starts:
                raise UserError(
                    f"utterance {utterance} cannot be written for sclite, which takes {word!r} for markup: remove "
                    f"{' '.join(SPECIAL)}, {NOTHING} and {COMMENT} from the texts, {FIRST_COMMENT} from where they "
                    "begin, or score without --trn"
                )
        yield " ".join([*words, f"({utterance})"])

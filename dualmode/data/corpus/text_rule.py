"""Named rules that make transcripts alike: case, punctuation, and what to do with numbers.

    rule     "Don't wait -- it's 5 o'clock!"
    keep     Don't wait -- it's 5 o'clock!
    lower    don't wait -- it's 5 o'clock!
    plain    don't wait it's 5 o'clock
    upper    DON'T WAIT IT'S 5 O'CLOCK

All of them compose accents (Unicode's NFC), put one space between words, and leave out what no token can have: control
characters, such as marks of the direction of writing, and words of invisible signs alone.  No rule reads numbers out:
how "5" is said depends on the language and the sentence, so transcripts with digits are left as they are, or rejected.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from dualmode.errors import UserError
from dualmode.lines import printable

# Signs that are said, as digits are; taking them out would leave a transcript that lacks a word.
_SAID = "%&@#$€£¥+=°§"
_INVISIBLE = str.maketrans("", "", "\ufeff\u200b\u00ad")
_DIRECTIONS = str.maketrans("", "", "\u200e\u200f\u061c")
_APOSTROPHES = re.compile("[’‘ʼ`´]")  # noqa: RUF001
_NUMBERS = re.compile(rf"[\d{re.escape(_SAID)}]")


@dataclass(frozen=True)
class TextRule:
    """What is done with a transcript.

    Attributes:
        about: one line of help.
        case: maps text to its case.
        punctuation: whether it stays.
    """

    about: str
    case: Callable[[str], str]
    punctuation: bool

    def apply(self, text: str) -> str:
        """Return the transcript by this rule.

        >>> RULES["plain"].apply("“Well-known,”  she said; don’t.")
        "well known she said don't"
        """
        text = self.case(unicodedata.normalize("NFC", _without_control_characters(text.replace("\0", " "))))
        if not self.punctuation:
            text = _without_punctuation(_APOSTROPHES.sub("'", text.translate(_INVISIBLE)))
        said = unicodedata.normalize("NFC", text).split()
        return " ".join(word for word in said if any(unicodedata.category(char) != "Cf" for char in word))


RULES = {
    "keep": TextRule("as it is", str, punctuation=True),
    "lower": TextRule("lower case; punctuation stays", str.lower, punctuation=True),
    "plain": TextRule("lower case without punctuation, but for apostrophes inside words", str.lower, punctuation=False),
    "upper": TextRule("capitals without punctuation, but for apostrophes inside words", str.upper, punctuation=False),
}


def _without_control_characters(text: str) -> str:
    """Take out what a token list refuses, and the other marks of direction; those that are blanks stay, to part words.

    >>> _without_control_characters("\\u202bgo\\u202c on\\x85\\u200f")
    'go on\\x85'
    """
    text = text.translate(_DIRECTIONS)
    if printable(text) == text:
        return text
    return "".join(char for char in text if char.isspace() or printable(char) == char)


def _without_punctuation(text: str) -> str:
    """Replace punctuation by spaces, but for what is said and apostrophes between letters."""
    kept = []
    for index, char in enumerate(text):
        inside = char == "'" and text[index - 1 : index].isalpha() and text[index + 1 : index + 2].isalpha()
        mark = unicodedata.category(char)[0] == "P" and char not in _SAID
        kept.append(" " if mark and not inside else char)
    return "".join(kept)


def has_numbers(text: str) -> bool:
    """Whether a transcript has digits, or signs that are said.

    >>> has_numbers("5 %"), has_numbers("½ mile"), has_numbers("five percent"), has_numbers("我们一起去")
    (True, True, False, False)
    """
    # Numbers that are no letters: fractions and Roman ones, and not the words that Chinese writes with one letter.
    if text.isascii() or _NUMBERS.search(text):
        return bool(_NUMBERS.search(text))
    return any(unicodedata.category(char) in ("No", "Nl") for char in text if char != "〇")


def named_rule(name: str) -> TextRule:
    """Return the rule of this name; another name is a UserError."""
    if name not in RULES:
        raise UserError(f"there is no text rule {name!r}: it must be one of {', '.join(RULES)}")
    return RULES[name]


SAMPLE = 1000  # transcripts that a rule is looked for with


def helping_rule(texts: Sequence[str], unseen: Callable[[str], Collection[str]]) -> tuple[str, int] | None:
    """Return the rule with which the most of these transcripts are covered by a token list, and how many are left.

    Args:
        texts: transcripts as the corpus has them.
        unseen: of a token list: the characters of a text that it lacks.

    Returns:
        None where no rule covers more of them than "keep".

    >>> helping_rule(["A B.", "7"], lambda text: set(text) - set("ab "))
    ('plain', 1)
    """
    left = {name: sum(bool(unseen(rule.apply(text))) for text in texts) for name, rule in RULES.items()}
    best = min(left, key=lambda name: left[name])
    return None if left[best] == left["keep"] else (best, left[best])


def offer(texts: Sequence[str], unseen: Callable[[str], Collection[str]]) -> str:
    """Return a sentence that names the rule of :func:`helping_rule`, or "" where none helps.

    >>> offer(["A B.", "7"], lambda text: set(text) - set("ab "))
    '--text-rule plain of dualmode import-data would help: with it the token list covers 1 of 2 such transcripts'
    """
    if (found := helping_rule(texts, unseen)) is None:
        return ""
    name, left = found
    covered = f"the token list covers {len(texts) - left} of {len(texts)} such transcripts"
    return f"--text-rule {name} of dualmode import-data would help: with it {covered}"

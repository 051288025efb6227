"""The voices of the mini corpus: an English accent of espeak-ng with one of its "+variants" (larynx and filter)."""

from dataclasses import dataclass

ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-029", "en-gb-x-rp", "en-gb-x-gbcwmd", "en-us-nyc")
VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m7", "f1", "f2", "f4", "klatt", "klatt2", "Andy", "Annie", "max", "linda")
# In test_unseen_voices only: training hears neither these variants nor the accent.
UNSEEN_ACCENT = "en-gb-x-gbclan"
UNSEEN_VARIANTS = ("m6", "m8", "f3", "f5", "klatt4", "Gene", "steph", "belinda")
# espeak-ng knows British English under the name of its first accent.
_ESPEAK_NAMES = {"en-gb": "en"}


@dataclass(frozen=True)
class Voice:
    """One speaker."""

    accent: str
    variant: str

    @property
    def speaker(self) -> str:
        """The speaker id of the Kaldi folder."""
        return f"{self.accent}-{self.variant}"

    @property
    def espeak_name(self) -> str:
        """What espeak_SetVoiceByName takes."""
        return f"{_ESPEAK_NAMES.get(self.accent, self.accent)}+{self.variant}"


SEEN = tuple(Voice(accent, variant) for accent in ACCENTS for variant in VARIANTS)
UNSEEN = tuple(Voice(accent, variant) for accent in (*ACCENTS, UNSEEN_ACCENT) for variant in UNSEEN_VARIANTS)

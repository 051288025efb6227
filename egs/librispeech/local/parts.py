"""What OpenSLR offers of LibriSpeech, and the names of data folders."""

from dataclasses import dataclass

HOME = "https://www.openslr.org/resources/12"  # CC BY 4.0; mirrors hold the same files
MINI = (
    "https://www.openslr.org/resources/31"  # Mini LibriSpeech, CC BY 4.0: pieces of the same, for a first real training
)


@dataclass(frozen=True)
class Archive:
    """PART.tar.gz; ``md5`` is what md5sum.txt beside it says.

    Attributes:
        home: where it is downloaded from; None is the mirror that was asked for.
    """

    bytes: int
    md5: str
    home: str | None = None


ARCHIVES = {
    "dev-clean": Archive(337_926_286, "42e2234ba48799c1f50f24a7926300a1"),
    "dev-other": Archive(314_305_928, "c8d0bcc9cca99d4f8b62fcc847357931"),
    "test-clean": Archive(346_663_984, "32fa31d27d2e1cad72775fee3f4849a9"),
    "test-other": Archive(328_757_843, "fb5a50374b501bb3bac4815ee91d3135"),
    "dev-clean-2": Archive(126_046_265, "6d7ab67ac6a1d2c993d050e16d61080d", MINI),
    "train-clean-5": Archive(332_954_390, "5df7d4e78065366204ca6845bb08f490", MINI),
    "train-clean-100": Archive(6_387_309_499, "2a93770f6d5c6c964bc36631d331a522"),
    "train-clean-360": Archive(23_049_477_885, "c0e676e450a7ff2f54aeade5171606fa"),
    "train-other-500": Archive(30_593_501_606, "d1a0fd59409feb2c614ce4d30c387708"),
}


def set_name(part: str) -> str:
    """Return the name of a part's data folder; a part may be a path.

    >>> set_name("train-clean-100"), set_name("/data/librilight/small")
    ('train_clean_100', 'small')
    """
    return part.rstrip("/").rpartition("/")[2].replace("-", "_")

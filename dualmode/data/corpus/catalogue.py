"""All utterances of an import, in a database on disk: any number of them, sorted, in little memory."""

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dualmode.data.corpus.audio_files import Cut
from dualmode.data.corpus.names import short_digest
from dualmode.data.corpus.split import drawn
from dualmode.data.rejection import Rejection
from dualmode.errors import UserError
from dualmode_runtime.audio.fault import Reason

# Text is compared by its UTF-8 bytes, which is the order of LC_ALL=C sort.
_TABLES = """
create table wanted (id text primary key, part text, speaker text, text text, audio text, start real, seconds real,
    channel integer) without rowid;
create table made (id text primary key, part text, speaker text, text text, path text, seconds real) without rowid;
create table rejected (id text, reason text, detail text);
create table warned (id text, reason text, detail text);
create table behind (audio text, seconds real);
create table renamed (id text, other text, place text);
"""
_CACHE_KIB = 64 * 1024


@dataclass(frozen=True)
class Wanted:
    """An utterance whose transcript is good; its audio has not been looked at.  Without a speaker it is its own."""

    utt: str
    part: str
    speaker: str | None
    text: str
    cut: Cut


@dataclass(frozen=True)
class Renamed:
    """The id that an utterance would have, the one that it got, and its file and line."""

    utt: str
    other: str
    where: str


@dataclass(frozen=True)
class Size:
    """Utterances, hours and speakers of a set."""

    utterances: int
    hours: float
    speakers: int


class Catalogue:
    """What is wanted, what was made of it, and what was rejected; removed with its file when it is closed."""

    def __init__(self, path: Path):
        self.path = path
        path.unlink(missing_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        # Nobody needs it after a crash; a run starts with an empty one.
        for pragma in ("journal_mode=off", "synchronous=off", "temp_store=file", f"cache_size=-{_CACHE_KIB}"):
            self._db.execute(f"pragma {pragma}")
        self._db.executescript(_TABLES)
        self._db.execute("begin")

    def __enter__(self) -> "Catalogue":
        return self

    def __exit__(self, _, error: BaseException | None, *__) -> None:
        with contextlib.suppress(sqlite3.Error):  # what it says is said below
            self._db.close()
        self.path.unlink(missing_ok=True)
        if isinstance(error, sqlite3.OperationalError):
            raise UserError(
                f"{self.path} cannot be written or sorted ({error}): free some space there and in the folder for "
                "temporary files, or name another one with TMPDIR"
            ) from error

    def add(self, wanted: Wanted, where: str) -> str | None:
        """Add an utterance.  The same id of another recording gets a suffix; the same part of one is rejected.

        Args:
            where: file and line, for messages.

        Returns:
            the id that it has here; None where it is rejected.
        """
        if self._insert(wanted.utt, wanted):
            return wanted.utt
        cut = wanted.cut
        file = _one_spelling(cut.audio)
        other = f"{wanted.utt}-{short_digest(f'{file} {cut.start}')}"
        alike = self._db.execute(
            "select id, part, audio from wanted where id in (?, ?) and start = ?", [wanted.utt, other, cut.start]
        ).fetchall()
        known = next(((utt, part) for utt, part, audio in alike if _one_spelling(audio) == file), None)
        if known is None and self._insert(other, wanted):
            self._db.execute("insert into renamed values (?, ?, ?)", (wanted.utt, other, where))
            return other
        first = "{} in {}".format(*known) if known else other
        detail = f"{cut.audio} at {cut.start:g} s is listed twice: as {first}, and in {wanted.part} ({where})"
        self.reject(Rejection(wanted.utt, Reason.DUPLICATE, detail))
        return None

    def _insert(self, utt: str, wanted: Wanted) -> bool:
        cut = wanted.cut
        values = (utt, wanted.part, wanted.speaker or utt, wanted.text, cut.audio, cut.start, cut.seconds, cut.channel)
        return self._db.execute("insert or ignore into wanted values (?, ?, ?, ?, ?, ?, ?, ?)", values).rowcount > 0

    def reject(self, rejection: Rejection) -> None:
        self._note("rejected", rejection)

    def warn(self, rejection: Rejection) -> None:
        """Note what is kept, in a test set, although it cannot be recognised without error."""
        self._note("warned", rejection)

    def _note(self, table: str, rejection: Rejection) -> None:
        self._db.execute(
            f"insert into {table} values (?, ?, ?)", (rejection.utt, rejection.reason.value, rejection.detail)
        )

    def wanted(self) -> Iterator[Wanted]:
        """Yield what is wanted, in C order."""
        for utt, part, speaker, text, *cut in self._db.execute("select * from wanted order by id"):
            yield Wanted(utt, part, speaker, text, Cut(*cut))

    def wordless_parts(self) -> list[str]:
        """Return the sets that are wanted and have no words in any transcript."""
        return [name for (name,) in self._db.execute("select part from wanted group by part having max(text) = ''")]

    def wanted_count(self) -> int:
        return self._number("select count(*) from wanted")

    def made(self, wanted: Wanted, path: str, seconds: float) -> None:
        self._db.execute(
            "insert into made values (?, ?, ?, ?, ?, ?)",
            (wanted.utt, wanted.part, wanted.speaker, wanted.text, path, seconds),
        )

    def index(self) -> None:
        """Call once all is made, before sets are chosen and written."""
        self._db.execute("create index by_speaker on made (part, speaker, id)")

    def drawn(self, part: str, seed: int, by_speaker: bool) -> Iterator[tuple[str, float]]:
        """Yield the speakers of a set, or its utterances, with their seconds, in an order drawn by ``seed``."""
        self._db.create_function("drawn", 1, partial(drawn, seed), deterministic=True)
        column = "speaker" if by_speaker else "id"
        yield from self._db.execute(
            f"select {column}, sum(seconds) from made where part = ? group by {column} order by drawn({column})", [part]
        )

    def move(self, source: str, target: str, keys: Iterable[str], by_speaker: bool) -> None:
        """Put speakers, or utterances, of a set into another one."""
        column = "speaker" if by_speaker else "id"
        self._db.executemany(
            f"update made set part = ? where part = ? and {column} = ?", ((target, source, key) for key in keys)
        )

    def parts(self) -> list[str]:
        return [name for (name,) in self._db.execute("select distinct part from made order by part")]

    def size(self, part: str) -> Size:
        count, seconds, speakers = self._db.execute(
            "select count(*), total(seconds), count(distinct speaker) from made where part = ?", [part]
        ).fetchone()
        return Size(count, seconds / 3600, speakers)

    def shared_speakers(self, one: str, other: str) -> int:
        """Return how many speakers two sets have in common."""
        return self._number(
            "select count(*) from (select speaker from made where part = ? intersect "
            "select speaker from made where part = ?)",
            one,
            other,
        )

    def rows(self, part: str) -> Iterator[tuple[str, str, str, str, float]]:
        """Yield (utterance, speaker, text, path, seconds) of a set, in C order."""
        yield from self._db.execute(
            "select id, speaker, text, path, seconds from made where part = ? order by id", [part]
        )

    def by_speaker(self, part: str) -> Iterator[tuple[str, str]]:
        """Yield (speaker, utterance) of a set, both in C order."""
        yield from self._db.execute("select speaker, id from made where part = ? order by speaker, id", [part])

    def sources(self, part: str) -> Iterator[str]:
        """Yield the recordings, each once, that files of a set were made from."""
        for (audio,) in self._db.execute(
            "select distinct audio from made join wanted using (id) where made.part = ? and path != audio order by 1",
            [part],
        ):
            yield audio

    def rejections(self) -> Iterator[Rejection]:
        yield from self._noted("select * from rejected order by id, rowid")

    def warnings(self) -> Iterator[Rejection]:
        """Yield what was warned of and is there, in C order; call it once all is made."""
        yield from self._noted("select * from warned where id in (select id from made) order by id")

    def _noted(self, query: str) -> Iterator[Rejection]:
        for utt, reason, detail in self._db.execute(query):
            yield Rejection(utt, Reason(reason), detail)

    def reasons(self) -> dict[str, int]:
        """Return how many are rejected for each reason, the most frequent first."""
        return self._counts("rejected")

    def warned_reasons(self) -> dict[str, int]:
        """Return the same of :meth:`warnings`."""
        return self._counts("warned where id in (select id from made)")

    def _counts(self, table: str) -> dict[str, int]:
        return dict(
            self._db.execute(f"select reason, count(*) from {table} group by reason order by count(*) desc, reason")
        )

    def renamed(self) -> Iterator[Renamed]:
        """Yield the utterances that got a suffix, since another recording has their id, as they came."""
        for row in self._db.execute("select * from renamed order by rowid"):
            yield Renamed(*row)

    def leaves(self, audio: str, seconds: float) -> None:
        """Note that an utterance from a recording's beginning on leaves so much of it behind."""
        self._db.execute("insert into behind values (?, ?)", (audio, seconds))

    def cut_short(self) -> tuple[int, float]:
        """Return how many recordings end before their end though nothing else is of them, and by how much, seconds."""
        count, seconds = self._db.execute(
            "select count(*), total(seconds) from behind where audio in "
            "(select audio from wanted group by audio having count(*) = 1)"
        ).fetchone()
        return count, seconds

    def renamed_count(self) -> int:
        return self._number("select count(*) from renamed")

    def _number(self, query: str, *values: str) -> int:
        return self._db.execute(query, values).fetchone()[0]


def _one_spelling(audio: str) -> str:
    """Return the path by which a file is the same one: ../wav/a.wav is seen from several folders, and by links."""
    try:
        return os.path.realpath(audio)
    except ValueError:  # it has a zero byte, so no file has it
        return audio

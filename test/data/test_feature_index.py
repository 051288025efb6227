"""An index of features gives what the lists say, and follows them when they change."""

import os

import kaldiio
import numpy as np
import pytest

from dualmode.data import feature_index
from dualmode.data.feature_index import open_index
from dualmode.data.features import FeatureTable
from dualmode.errors import UserError

LENGTHS = {"a": 3, "b-1": 5, "b-2": 2, "c": 4}


@pytest.fixture
def folder(tmp_path):
    """Two archives, which do not follow the order of ids; a long transcript; one without words."""
    matrices = {utt: np.random.default_rng(n).normal(size=(n, 80)).astype(np.float32) for utt, n in LENGTHS.items()}
    lines = []
    for archive, names in (("1.ark", ["c", "a"]), ("0.ark", ["b-2", "b-1"])):
        kaldiio.save_ark(str(tmp_path / archive), {utt: matrices[utt] for utt in names}, scp=str(tmp_path / "part"))
        lines += (tmp_path / "part").read_text().splitlines(keepends=True)
    (tmp_path / "feats.scp").write_text("".join(sorted(lines)))
    (tmp_path / "speech_shape").write_text("".join(f"{utt} {n},80\n" for utt, n in LENGTHS.items()))
    (tmp_path / "text").write_text(f"a ein schönes Wort\nb-1 {'x' * 5000}\nb-2\nc go on\n", encoding="utf-8")
    return tmp_path


def opened(folder, text="text"):
    return open_index(folder / "index", folder / "feats.scp", folder / "speech_shape", folder / text if text else None)


def test_it_gives_what_the_lists_say_in_the_order_of_the_disk(folder):
    index, table = opened(folder), FeatureTable(folder / "feats.scp")
    found = [index.features(row) for row in range(len(index))]
    assert [utt for utt, _ in found] == ["c", "a", "b-2", "b-1"]  # archives as they first come in the list
    assert all(np.array_equal(matrix, table[utt]) for utt, matrix in found) and len(found) == len(table)
    transcripts = {utt: index.transcript(row, utt) for row, (utt, _) in enumerate(found)}
    assert transcripts == {"a": "ein schönes Wort", "b-1": "x" * 5000, "b-2": "", "c": "go on"}
    assert index.entries["frames"].tolist() == [LENGTHS[utt] for utt, _ in found]
    for row in range(1, len(index)):
        before, entry = index.entries[row - 1], index.entries[row]
        assert (before["archive"], before["offset"]) < (entry["archive"], entry["offset"])


def test_lists_that_are_replaced_while_they_are_read_are_noticed(folder):
    index = opened(folder)
    lines = (folder / "text").read_text().splitlines(keepends=True)
    (folder / "text").write_text("".join([*lines[1:], lines[0]]))
    with pytest.raises(UserError, match="text has '.*' where .*feats.scp has .*: they changed while they were read"):
        for row in range(len(index)):
            index.transcript(row, index.features(row)[0])


def test_it_is_made_once_and_anew_when_a_list_changes(folder, monkeypatch):
    made = []
    build = feature_index.build_index
    monkeypatch.setattr(feature_index, "build_index", lambda *args: made.append(1) or build(*args))
    opened(folder), opened(folder)
    assert len(made) == 1
    os.utime(folder / "text", ns=(1, 1))
    opened(folder), opened(folder)
    assert len(made) == 2
    opened(folder, text=None)
    assert len(made) == 3


def test_reading_ahead_asks_for_what_a_part_reads_and_no_more(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(os, "posix_fadvise", lambda file, offset, size, advice: asked.append((offset, size)))
    index = opened(folder, text=None)
    index.read_ahead(np.array([0, 2, 3]))
    sizes = [(int(entry["offset"]), int(entry["frames"])) for entry in index.entries]
    (first, a), (begin, _), (last, b) = sizes[0], sizes[2], sizes[3]
    assert asked == [(first, 320 * a), (begin, last - begin + 320 * b)]
    os.unlink(folder / "1.ark")
    index.read_ahead(np.arange(4))  # what is missing, reading says
    with pytest.raises(UserError, match="the features of the utterance . cannot be read"):
        [index.features(row) for row in range(4)]


@pytest.mark.parametrize(
    ("file", "change", "says"),
    [
        ("speech_shape", lambda text: text.replace("b-1", "b-0"), "has b-1 where .*speech_shape has b-0"),
        ("speech_shape", lambda text: text.replace("5,80", "five"), "b-1 has 'five': expected FRAMES,BINS"),
        ("speech_shape", lambda text: text[: text.index("c 4")], "has c where .*speech_shape has no more"),
        ("text", lambda text: text[: text.index("c go")], "has c where .*text has no more"),
        ("text", lambda text: text + "d more\n", "text has d, which .*feats.scp lacks"),
        ("text", lambda text: "", "has a where .*text has no more"),
        ("feats.scp", lambda text: text.replace("b-1 ", "b-2 "), "has b-2 where .*speech_shape has b-1"),
        ("feats.scp", lambda text: text[: text.index(" ")] + " cat x |" + text[text.index("\n") :], "a is a command"),
    ],
)
def test_lists_that_do_not_fit_are_one_sentence(folder, file, change, says):
    (folder / file).write_text(change((folder / file).read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(UserError, match=says):
        opened(folder)
    assert not (folder / "index" / "index.json").exists()


def test_unsorted_and_empty_lists_are_one_sentence(folder):
    for name in ("feats.scp", "speech_shape", "text"):
        lines = (folder / name).read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / name).write_text("".join([*lines, lines[0]]), encoding="utf-8")
    with pytest.raises(UserError, match="a does not come after c: sort the list"):
        opened(folder)
    for name in ("feats.scp", "speech_shape", "text"):
        (folder / name).write_text("")
    with pytest.raises(UserError, match="feats.scp is empty"):
        opened(folder)

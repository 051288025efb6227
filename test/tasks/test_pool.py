import argparse

import kaldiio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualmode.data.features import FeatureTable
from dualmode.errors import UserError
from dualmode.tasks import feature_lists
from dualmode.tasks.pool import Source, copies, described, parse_source, pieces, pool


def features(folder, lengths, text=None):
    """Write a feature folder; row r of every matrix holds r."""
    folder.mkdir()
    matrices = {utt: np.repeat(np.arange(n, dtype=np.float32)[:, None], 80, axis=1) for utt, n in lengths.items()}
    kaldiio.save_ark(str(folder / "feats.ark"), matrices, scp=str(folder / "feats.scp"))
    (folder / "speech_shape").write_text("".join(f"{utt} {n},80\n" for utt, n in lengths.items()))
    if text:
        (folder / "text").write_text("".join(f"{utt} {words}\n" for utt, words in text.items()))
    return folder


def drawn_copies(utterances, weight, seed):
    """(utterance, number of the copy) of all copies."""
    drawn = enumerate(copies(utterances, weight, seed))
    return [(utterance, number) for number, in_copy in drawn for utterance in utterances if in_copy(utterance)]


def lines(path):
    return dict(line.split(maxsplit=1) for line in path.read_text().splitlines())


def test_one_whole_set_is_used_as_it_is(tmp_path):
    folder = features(tmp_path / "a", {"u1": 7})
    assert pool([Source(folder)], tmp_path / "out", ["speech"]) == folder
    assert not (tmp_path / "out").exists()


def test_long_recordings_become_ranges_of_rows(tmp_path):
    folder = features(tmp_path / "a", {"u1": 7, "u2": 3})
    out = pool([Source(folder)], tmp_path / "out", ["speech"], max_ms=30)
    assert lines(out / "speech_shape") == {
        "u1-0000000-0000002": "2,80",
        "u1-0000002-0000004": "2,80",
        "u1-0000004-0000007": "3,80",
        "u2": "3,80",
    }
    read = kaldiio.load_scp(str(out / "feats.scp"))
    assert {utt: read[utt][:, 0].tolist() for utt in read} == {
        "u1-0000000-0000002": [0, 1],
        "u1-0000002-0000004": [2, 3],
        "u1-0000004-0000007": [4, 5, 6],
        "u2": [0, 1, 2],
    }


def test_sets_are_pooled_with_their_weights_and_transcripts(tmp_path):
    a = features(tmp_path / "a", {"u1": 4, "u2": 5}, {"u1": "one", "u2": "two"})
    b = features(tmp_path / "b", {"u1": 6}, {"u1": "three"})
    out = pool([Source(a), Source(b, 2.0)], tmp_path / "out", ["speech", "text"])
    assert lines(out / "text") == {"0-0-u1": "one", "0-0-u2": "two", "1-0-u1": "three", "1-1-u1": "three"}
    assert list(lines(out / "feats.scp")) == list(lines(out / "speech_shape")) == list(lines(out / "text"))


@settings(deadline=None)
@given(names=st.lists(st.text("ab-0é", min_size=1, max_size=6), unique=True, min_size=1), data=st.data())
def test_pieces_and_copies_come_in_the_order_of_c(names, data, tmp_path_factory):
    folder, out = (tmp_path_factory.mktemp(name) for name in ("a", "out"))
    lengths = {name: data.draw(st.integers(1, 9)) for name in sorted(names, key=str.encode)}
    (folder / "feats.scp").write_text("".join(f"{name} x.ark:5\n" for name in lengths))
    (folder / "speech_shape").write_text("".join(f"{name} {frames},80\n" for name, frames in lengths.items()))
    weights = data.draw(st.sampled_from([[1], [2, 1], [0.5, 1.5]]))
    pool([Source(folder, weight) for weight in weights], out, ["speech"], max_ms=30)
    ids = [line.split(" ")[0] for line in (out / "feats.scp").read_text().splitlines()]
    assert ids == sorted(set(ids), key=str.encode)
    assert ids == [line.split(" ")[0] for line in (out / "speech_shape").read_text().splitlines()]
    if weights == [1]:
        assert len(ids) == sum(-(-frames // 3) for frames in lengths.values())


def test_lists_are_made_once_of_the_same_sources(tmp_path):
    folder = features(tmp_path / "a", {"u1": 7})
    out = pool([Source(folder)], tmp_path / "out", ["speech"], max_ms=30)
    made = (out / "feats.scp").stat().st_mtime_ns
    assert pool([Source(folder)], out, ["speech"], max_ms=30) == out
    assert (out / "feats.scp").stat().st_mtime_ns == made, "an index of it would have to be made anew"
    pool([Source(folder)], out, ["speech"], max_ms=40)
    assert len(lines(out / "speech_shape")) == 2
    (folder / "speech_shape").write_text("u1 3,80\n")
    pool([Source(folder)], out, ["speech"], max_ms=40)
    assert lines(out / "speech_shape") == {"u1": "3,80"}


def test_a_pool_says_what_it_was_made_of(tmp_path):
    a, b = (features(tmp_path / name, {"u1": 7}) for name in "ab")
    assert described(tmp_path / "out") is None
    pool([Source(a), Source(b, 2.5)], tmp_path / "out", ["speech"], max_ms=50, seed=3)
    assert described(tmp_path / "out") == f"{a}:1 {b}:2.5, cut at 50 ms, chosen with seed 3"


def test_lists_that_were_left_half_written_are_made_anew(tmp_path, monkeypatch):
    folder = features(tmp_path / "a", {"u1": 7, "u2": 7})
    out = pool([Source(folder)], tmp_path / "out", ["speech"], max_ms=30)
    whole = (out / "feats.scp").read_text()

    def killed(path, paths):
        (out / "feats.scp").write_text("of a run that was killed")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(feature_lists, "iterate_table", killed)
        pool([Source(folder)], out, ["speech"], max_ms=40)
    assert (pool([Source(folder)], out, ["speech"], max_ms=30) / "feats.scp").read_text() == whole


@settings(deadline=None)
@given(weight=st.floats(0.01, 4), count=st.integers(0, 30), seed=st.integers(0, 3))
def test_a_weight_gives_as_many_copies_of_different_utterances(weight, count, seed):
    utterances = [f"u{number}" for number in range(count)]
    drawn = list(drawn_copies(utterances, weight, seed))
    assert len(set(drawn)) == len(drawn) == int(weight) * count + round((weight - int(weight)) * count)
    assert drawn == list(drawn_copies(utterances, weight, seed))


def test_the_seed_chooses_other_utterances():
    utterances = [f"u{number}" for number in range(100)]
    assert list(drawn_copies(utterances, 0.5, seed=0)) != list(drawn_copies(utterances, 0.5, seed=1))


@given(frames=st.integers(1, 500), longest=st.integers(1, 60))
def test_pieces_cover_a_recording_once(frames, longest):
    cut = pieces(frames, longest)
    sizes = [end - first for first, end in cut]
    assert [frame for first, end in cut for frame in range(first, end)] == list(range(frames))
    assert max(sizes) <= longest and max(sizes) - min(sizes) <= 1
    assert len(cut) == -(-frames // longest)


def test_mistakes_are_one_sentence(tmp_path):
    folder = features(tmp_path / "a", {"u1": 7}, {"u1": "one"})
    with pytest.raises(UserError, match="transcripts cannot be cut"):
        pool([Source(folder)], tmp_path / "out", ["speech", "text"], max_ms=30)
    with pytest.raises(UserError, match="--max-ms is 5"):
        pool([Source(folder)], tmp_path / "out", ["speech"], max_ms=5)
    with pytest.raises(UserError, match="raise the weights"):
        pool([Source(folder, 0.1)], tmp_path / "out", ["speech"])
    (folder / "speech_shape").write_text("u9 7,80\n")
    with pytest.raises(UserError, match="lacks the utterance"):
        pool([Source(folder, 2.0)], tmp_path / "out", ["speech"])
    (folder / "speech_shape").write_text("u1 many,80\n")
    with pytest.raises(UserError, match="u1 has 'many,80', expected frames,bins"):
        pool([Source(folder)], tmp_path / "out", ["speech"], max_ms=30)


def test_a_source_is_a_folder_and_perhaps_a_weight(tmp_path):
    assert parse_source(str(tmp_path)) == Source(tmp_path, 1.0)
    assert parse_source(f"{tmp_path}:0.5") == Source(tmp_path, 0.5)
    (tmp_path / "a:3").mkdir()
    assert parse_source(str(tmp_path / "a:3")) == Source(tmp_path / "a:3", 1.0)
    for text, words in (
        ("/nowhere", "no folder /nowhere"),
        (f"{tmp_path}:0", "above 0"),
        (f"{tmp_path}:x", "above 0"),
        (f"{tmp_path}:1e300", "at most 1000"),
    ):
        with pytest.raises(argparse.ArgumentTypeError, match=words):
            parse_source(text)


def test_a_share_of_the_transcripts_has_all_their_speeds():
    utterances = [f"{prefix}u{number}" for prefix in ("", "sp0.9-", "sp1.1-") for number in range(20)]
    chosen = [utt for utt, _ in drawn_copies(utterances, 0.1, seed=3)]
    assert len(chosen) == 6
    assert len({utt.removeprefix("sp0.9-").removeprefix("sp1.1-") for utt in chosen}) == 2
    assert chosen != [utt for utt, _ in drawn_copies(utterances, 0.1, seed=4)]


def test_a_range_of_rows_is_what_training_reads(tmp_path):
    out = pool([Source(features(tmp_path / "a", {"u1": 7}))], tmp_path / "out", ["speech"], max_ms=30)
    table = FeatureTable(out / "feats.scp")
    assert [matrix[:, 0].tolist() for matrix in table.values()] == [[0, 1], [2, 3], [4, 5, 6]]
    (out / "feats.scp").write_text(f"u1-x {tmp_path}/a/feats.ark:3[5:7]\n")
    with pytest.raises(UserError, match="u1-x are said to have 8 frames at least, and have 7"):
        FeatureTable(out / "feats.scp")["u1-x"]

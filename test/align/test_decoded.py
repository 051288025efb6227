import pytest

from dualmode.align.decoded import read_emitted, streaming_context
from dualmode.align.emission import EmittedWord
from dualmode.errors import UserError
from dualmode.supernet.subnet import Context

META = {"chunk_ms": 160, "left_ms": 320, "lookahead_ms": 0}


@pytest.fixture
def folder(tmp_path):
    best = tmp_path / "1best_recog"
    best.mkdir()
    (tmp_path / "text").write_text("a on it\nb\n")
    (best / "token").write_text("a o n <space> i t\nb\n")
    (best / "token_ms").write_text("a 0 40 120 160 200\nb\n")
    return tmp_path


def test_words_come_out_at_the_ends_of_chunks(folder):
    found = read_emitted(folder, "char", Context(4, 8), {"a": 300, "b": 500})
    assert found == {"a": [EmittedWord("on", 197.5, 197.5), EmittedWord("it", 300, 300)], "b": []}


@pytest.mark.parametrize(
    "name, content",
    [
        ("1best_recog/token_ms", "a 0 40 120 160\nb\n"),
        ("1best_recog/token_ms", "a 0 40 120 160 201\nb\n"),
        ("1best_recog/token", "a o n i i t\nb\n"),
        ("text", "a on\nb\n"),
    ],
)
def test_files_that_do_not_fit_together(folder, name, content):
    (folder / name).write_text(content)
    with pytest.raises(UserError, match="a has .* decode it again"):
        read_emitted(folder, "char", Context(4, 8), {"a": 300, "b": 500})


def test_an_utterance_of_unknown_length(folder):
    with pytest.raises(UserError, match="the utterance b, whose length is not known"):
        read_emitted(folder, "char", Context(4, 8), {"a": 300})


def test_times_of_tokens_are_needed(folder):
    (folder / "1best_recog" / "token_ms").unlink()
    with pytest.raises(UserError, match="there is no .*token_ms: decode again"):
        read_emitted(folder, "char", Context(4, 8), {"a": 300, "b": 500})


def test_only_greedy_streaming_has_a_delay(tmp_path):
    assert streaming_context(tmp_path, META) == Context(4, 8)
    with pytest.raises(UserError, match="full context"):
        streaming_context(tmp_path, META | {"chunk_ms": None})
    with pytest.raises(UserError, match="beam of 4"):
        streaming_context(tmp_path, META | {"beam_size": 4})

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualmode.bin import make_tokens
from dualmode.data.make_tokens import make_token_list
from dualmode.data.tokens import Tokenizer, copy_token_list
from dualmode.errors import UserError

TEXTS = ["turn on the light", "turn off the lamp", "what's the time", "set the light to ten", "turn the fan off"]
WORDS = sorted({word for text in TEXTS for word in text.split()})
LETTERS = sorted(set("".join(WORDS)))


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    made = {}
    for kind, size in (("char", None), ("word", None), ("bpe", 25)):
        make_token_list(TEXTS, folder / kind, kind, size)
        made[kind] = Tokenizer.load(folder / kind)
    return made


def test_char_list_by_hand(tmp_path):
    make_token_list(["be a"], tmp_path / "t", "char")
    assert (tmp_path / "t" / "tokens.txt").read_text() == "<blank>\n<unk>\n<space>\na\nb\ne\n"
    assert json.loads((tmp_path / "t" / "tokens.json").read_text()) == {"type": "char"}
    tokenizer = Tokenizer.load(tmp_path / "t")
    assert tokenizer.encode(" be  a ") == [4, 5, 2, 3]
    assert tokenizer.decode([4, 5, 2, 3]) == "be a"
    assert tokenizer.encode("bé") == [4, 1]
    assert tokenizer.unseen("bé éx") == ["x", "é"]
    assert (tokenizer.blank_id, tokenizer.unk_id, len(tokenizer)) == (0, 1, 6)


def test_word_list_by_hand(tmp_path):
    make_token_list(["on on off the the the", "the <blank>"], tmp_path / "t", "word", vocab_size=4)
    tokenizer = Tokenizer.load(tmp_path / "t")
    assert tokenizer.tokens == ["<blank>", "<unk>", "on", "the"]
    assert tokenizer.encode("the off on <blank>") == [3, 1, 2, 1]
    assert tokenizer.unseen("the off <blank> off") == ["<blank>", "off"]
    assert tokenizer.decode([3, 1]) == "the <unk>"


@given(st.lists(st.sampled_from(WORDS), max_size=8), st.lists(st.sampled_from([" ", "  ", "\t"]), min_size=1))
def test_covered_words_come_back(tokenizers, words, gaps):
    text = "".join(word + gaps[index % len(gaps)] for index, word in enumerate(words))
    for tokenizer in tokenizers.values():
        assert tokenizer.unseen(text) == []
        assert tokenizer.unk_id not in tokenizer.encode(text)
        assert tokenizer.decode(tokenizer.encode(text)) == " ".join(words)


@given(st.text(alphabet=[*LETTERS, " "], max_size=30))
def test_covered_letters_come_back_in_any_order(tokenizers, text):
    for kind in ("char", "bpe"):
        assert tokenizers[kind].decode(tokenizers[kind].encode(text)) == " ".join(text.split())


@given(st.text(max_size=20))
def test_what_is_unseen_is_exactly_what_becomes_unknown(tokenizers, text):
    for kind, tokenizer in tokenizers.items():
        ids = tokenizer.encode(text)
        assert tokenizer.blank_id not in ids
        assert all(1 <= number < len(tokenizer) for number in ids)
        if kind != "bpe" or "\u2581" not in text:
            assert bool(tokenizer.unseen(text)) == (tokenizer.unk_id in ids)
        if not tokenizer.unseen(text):
            assert tokenizer.decode(ids) == " ".join(text.split())


def test_sentencepiece_mark_in_a_transcript_is_unseen(tokenizers):
    assert tokenizers["bpe"].unseen("turn\u2581on \u00e9") == ["\u00e9", "\u2581"]


@pytest.mark.parametrize("number", [0, -1, 10_000])
def test_numbers_that_stand_for_no_text_are_refused(tokenizers, number):
    with pytest.raises(ValueError, match=str(number)):
        tokenizers["char"].decode([2, number])


def test_sentencepiece_list_has_the_size_asked_for_and_is_the_same_each_time(tokenizers, tmp_path):
    assert len(tokenizers["bpe"]) == 25
    make_token_list(TEXTS, tmp_path / "again", "bpe", 25)
    assert Tokenizer.load(tmp_path / "again").tokens == tokenizers["bpe"].tokens
    make_token_list(TEXTS, tmp_path / "merges", "bpe", 25, algorithm="bpe")
    assert (
        Tokenizer.load(tmp_path / "merges").decode(Tokenizer.load(tmp_path / "merges").encode("ten fans")) == "ten fans"
    )


@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_sentencepiece_covers_what_it_was_made_from(tmp_path, algorithm):
    """Also our special tokens, one of which is SentencePiece's, too; transcripts of others have them as words."""
    texts = ["the <unk> cat, sat", 'x<blank> "go, on"<unk>', "it's < = > <s> a\\b", "#1 50% x<unk> 3<blank>"]
    make_token_list([*4 * texts, *TEXTS], tmp_path / "t", "bpe", 45, algorithm)
    tokenizer = Tokenizer.load(tmp_path / "t")
    for text in texts:
        assert tokenizer.unseen(text) == [] and tokenizer.decode(tokenizer.encode(text)) == text
    make_token_list([*4 * texts, *TEXTS, "a\u2581b"], tmp_path / "mark", "bpe", 45, algorithm)
    assert Tokenizer.load(tmp_path / "mark").unseen("a\u2581b cat") == ["\u2581"]  # which is a space in tokens


@pytest.mark.parametrize(
    ("texts", "kind", "size", "says"),
    [
        ([" "], "char", None, "no text"),
        (TEXTS, "char", 30, "--vocab-size does not go with"),
        (TEXTS, "bpe", None, "needs --vocab-size"),
        (TEXTS, "bpe", 5000, "--vocab-size 5000 does not suit these texts"),
        (TEXTS, "word", 2, "at least 3"),
        (["go \x1bon"], "char", None, r"'go \\x1bon' has the control character \\u001b, which cannot be a token"),
    ],
)
def test_impossible_lists_are_refused(tmp_path, texts, kind, size, says):
    with pytest.raises(UserError, match=says):
        make_token_list(texts, tmp_path / "t", kind, size)
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("tokens.txt", "a\nb\n", "starts with <blank> and <unk>"),
        ("tokens.txt", "<blank>\n<unk>\na\na\n", r"twice: \['a'\]"),
        ("tokens.txt", "<blank>\n<unk>\na", "cut off"),
        ("tokens.json", "[]", "tokens.json"),
        ("tokens.json", '{"type": "phone"}', "'phone'"),
        ("tokens.json", '{"type": "bpe"}', "bpe.model"),
    ],
)
def test_malformed_folders_are_refused(tmp_path, name, content, says):
    make_token_list(["ab"], tmp_path, "char")
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=says):
        Tokenizer.load(tmp_path)


def test_missing_folder_says_how_to_make_it(tmp_path):
    with pytest.raises(UserError, match="make-tokens"):
        Tokenizer.load(tmp_path / "nowhere")


def test_command_leaves_rejected_utterances_out(tmp_path, capsys):
    (tmp_path / "text").write_text("u1 ab\nu2 xyz\n")
    (tmp_path / "rejected.tsv").write_text("utt\treason\tdetail\nu2\tmissing-file\tgone\n")
    make_tokens.main(
        ["--text", str(tmp_path / "text"), "--exclude", str(tmp_path / "rejected.tsv"), "--out", str(tmp_path / "t")]
    )
    assert Tokenizer.load(tmp_path / "t").tokens == ["<blank>", "<unk>", "<space>", "a", "b"]
    assert "5 tokens of type char from 1 transcripts" in capsys.readouterr().out


@pytest.mark.parametrize("kind", [["char"], ["word"], ["bpe", "--vocab-size", "6"]])
def test_a_control_character_is_refused_where_it_stands_and_nothing_is_written(tmp_path, kind):
    """A list with it could be read by no command after this one."""
    text = tmp_path / "text"
    text.write_text("u1 go on\nu2 go \u202bon\u202c\n")
    command = ["--text", str(text), "--out", str(tmp_path / "t"), "--type", *kind]
    with pytest.raises(UserError, match=r"text: u2 has the control character \\u202b, .*: take it out, or leave out"):
        make_tokens.main(command)
    assert not (tmp_path / "t").exists()
    (tmp_path / "rejected.tsv").write_text("utt\treason\tdetail\nu2\tnot-usable\tx\n")
    make_tokens.main([*command, "--exclude", str(tmp_path / "rejected.tsv")])


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (
            "a Turn it on.\n",
            "capitals and punctuation, which the recogniser would have to learn (.): dualmode import-data",
        ),
        ("a turn on 5\n", "numbers or signs that are said (5): write them in words"),
        ("a turn it on\n", ""),
        ("a TURN IT ON\n", ""),
    ],
)
def test_what_makes_the_list_larger_than_it_need_be_is_said(tmp_path, capsys, text, note):
    (tmp_path / "text").write_text(text)
    make_tokens.main(["--text", str(tmp_path / "text"), "--out", str(tmp_path / "tokens")])
    said = capsys.readouterr().out
    assert note in said and ("note:" in said) == bool(note)


def test_who_reads_a_token_list_that_is_copied_anew_reads_it_whole(tmp_path):
    """As on the second machine of a training, while the first one copies."""
    for name, letter in (("old", "a"), ("new", "b")):
        make_token_list([letter], tmp_path / name, "char")
    copy_token_list(tmp_path / "old", tmp_path / "exp")
    with open(tmp_path / "exp" / "tokens.txt") as reader:
        copy_token_list(tmp_path / "new", tmp_path / "exp")
        assert reader.read() == (tmp_path / "old" / "tokens.txt").read_text()
    assert (tmp_path / "exp" / "tokens.txt").read_text() == (tmp_path / "new" / "tokens.txt").read_text()

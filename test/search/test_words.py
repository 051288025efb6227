from hypothesis import given
from hypothesis import strategies as st

from dualmode.data.tokens import Tokenizer
from dualmode.search.words import StableWords
from dualmode_runtime.words import Word

SPECIAL = ["<blank>", "<unk>"]
TOKENIZERS = [
    Tokenizer("char", [*SPECIAL, "<space>", "a", "b"]),
    Tokenizer("word", [*SPECIAL, "go", "on"]),
    Tokenizer("bpe", [*SPECIAL, "\u2581", "\u2581go", "o", "n", "\u2581on"], bpe_model="unused"),
]


@given(st.sampled_from(TOKENIZERS), st.data())
def test_words_are_those_of_the_text_whatever_settles_when(tokenizer, data):
    tokens = data.draw(st.lists(st.integers(1, len(tokenizer) - 1), max_size=20))
    settled = sorted(data.draw(st.lists(st.integers(0, len(tokens)), max_size=5)))
    words, done = StableWords(tokenizer), 0
    for ms, end in enumerate(settled):
        before = list(words.words)
        words.settle(tokens[done:end], list(range(done, end)), heard_ms=ms)
        done = end
        assert words.words[: len(before)] == before
        text = tokenizer.decode(tokens).split()
        assert [word.text for word in words.words] == text[: len(words.words)]
    found = words.all_words(tokens[done:], list(range(done, len(tokens))))
    assert [word.text for word in found] == tokenizer.decode(tokens).split()
    assert [word.start_ms for word in found] == sorted(word.start_ms for word in found)


def test_a_word_is_stable_once_the_next_one_begins():
    words = StableWords(TOKENIZERS[0], start_ms=1000)
    words.settle([3, 4], [2, 3], heard_ms=677.5)
    assert words.words == [] and words.all_words([], []) == [Word("ab", 1080, None, 1160)]
    words.settle([2], [20], heard_ms=1317.5)
    assert words.all_words([4], [24], 2000) == [Word("ab", 1080, 1317.5, 1160), Word("b", 1960, 2000, 2000)]

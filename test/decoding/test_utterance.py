"""What is made of a finished search."""

from types import SimpleNamespace

import pytest
import torch

from dualmode.data.tokens import Tokenizer
from dualmode.decoding.utterance import HeardWords
from dualmode.search.ctc_search import CtcBeamSearch
from dualmode.search.hypothesis import Hypothesis
from dualmode.supernet.subnet import Context

TOKENS = Tokenizer("bpe", ["<blank>", "<unk>", "\u2581", "\u2581go", "o", "n", "\u2581on"], bpe_model="unused")
BEAM = [((3, 6), -1.0), ((3, 2, 4, 5), -2.0), ((3,), -3.0), ((3, 2), -4.0), ((6,), -5.0)]


def test_a_text_is_in_the_list_once_however_it_is_put_together():
    beam = [Hypothesis(tokens, tuple(range(len(tokens))), score) for tokens, score in BEAM]
    search = SimpleNamespace(evidence=None, best=lambda count, final: beam[:count])
    heard = HeardWords(search, Context(4, 8), TOKENS, 0.0)
    for count in (1, 2, 3, 9):
        found = [(one.text, one.score) for one in heard.alternatives(1000.0, count)]
        assert found == [("go on", -1.0), ("go", -3.0), ("on", -5.0)][:count]


@pytest.mark.parametrize("seed", [0, 1, 82, 136])  # the last three have alignments that part after a token is settled
def test_words_of_a_beam_that_settles_have_times_in_order_and_a_confidence(seed):
    tokens = Tokenizer("char", ["<blank>", "<unk>", "<space>", "a", "b"])
    x = (0.5 * torch.randn(60, 5, generator=torch.Generator().manual_seed(seed))).log_softmax(dim=-1)
    search = CtcBeamSearch(5)
    heard = HeardWords(search, Context(4, 8), tokens, 0.0)
    for start in range(0, 60, 4):
        search.accept(x[start : start + 4])
        heard.update()
        heard.partial()
    words = heard.alternatives(2400.0)[0].words
    assert len(words) > 3
    times = [time for word in words for time in (word.start_ms, word.end_ms - 40)]
    assert times == sorted(times) and all(0 < word.confidence <= 1 for word in words)

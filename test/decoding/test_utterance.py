"""What is made of a finished search."""

from types import SimpleNamespace

from dualmode.data.tokens import Tokenizer
from dualmode.decoding.utterance import HeardWords
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

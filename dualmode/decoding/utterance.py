"""The words of one utterance, while it is searched and after."""

from dataclasses import replace
from operator import attrgetter

import numpy as np

from dualmode.asr.model import AsrModel
from dualmode.data.tokens import Tokenizer
from dualmode.decoding.distinct import distinct
from dualmode.frames import FRAME_MS, LAST_FRAME_MS
from dualmode.search.hypothesis import Hypothesis
from dualmode.search.search import Search
from dualmode.search.searcher import Searcher
from dualmode.search.stream import StreamDecoder
from dualmode.search.words import StableWords
from dualmode.supernet.subnet import Context, Subnet
from dualmode_runtime.transcript import Alternative
from dualmode_runtime.words import Word


class HeardWords:
    """Follows a search, and knows since when each of its words is stable.

    Args:
        search: of the utterance, before its first frame; or finished, if nothing is asked about stability.
        context: in which it hears.
        tokenizer: of the vocabulary.
        start_ms: where in the audio the utterance begins.
    """

    def __init__(self, search: Search, context: Context, tokenizer: Tokenizer, start_ms: float):
        self._search = search
        self._words = StableWords(tokenizer, start_ms, search.evidence)
        self._waits_ms = FRAME_MS * context.lookahead + LAST_FRAME_MS
        self._last_frame: int | None = None

    @property
    def last_token_ms(self) -> float | None:
        """End of the frame of the best hypothesis's last token, from the utterance's beginning on."""
        frames = self._search.best()[0].frames
        last = frames[-1] if frames else self._last_frame
        return None if last is None else FRAME_MS * (last + 1)

    def update(self) -> None:
        """See what the search has settled since the last call."""
        tokens, frames = self._search.take()
        if frames:
            self._last_frame = frames[-1]
        heard_ms = self._words.start_ms + FRAME_MS * self._search.frame + self._waits_ms
        self._words.settle(tokens, frames, heard_ms)
        still_open = self._words.open_frame
        self._search.evidence.forget(self._search.open_frame if still_open is None else still_open)

    def partial(self) -> tuple[Word, ...]:
        """Return the words so far; the last ones may still change."""
        best = self._search.best()[0]
        return tuple(self._words.all_words(best.tokens, best.frames))

    def alternatives(self, end_ms: float, count: int = 1) -> tuple[Alternative, ...]:
        """Return the n-best list of the finished utterance; what only its end made stable is so since ``end_ms``.

        A text is in it once, with the best one's score.
        """

        def alternative(entry: Hypothesis) -> Alternative:
            words = self._words.all_words(entry.tokens, entry.frames, end_ms)
            words = [replace(word, stable_ms=min(word.stable_ms, end_ms)) for word in words]
            return Alternative(tuple(words), entry.score)

        entries = map(alternative, self._search.best(None, final=True))
        return tuple(distinct(entries, attrgetter("text"), count))


class StreamedUtterance:
    """One utterance that is decoded chunk by chunk while it is heard.

    Args:
        model: in evaluation mode.
        subnet: which weights and context.
        searcher: greedy or beam.
        tokenizer: of the model's vocabulary.
        start_ms: where in the audio the utterance begins.

    Attributes:
        words: what was heard.
    """

    def __init__(self, model: AsrModel, subnet: Subnet, searcher: Searcher, tokenizer: Tokenizer, start_ms: float):
        self._decoder = StreamDecoder(model, subnet, searcher)
        self._search = self._decoder.searches[0]
        self.words = HeardWords(self._search, subnet.context, tokenizer, start_ms)

    @property
    def frames(self) -> int:
        """Encoder frames of 40 ms searched so far."""
        return self._search.frame

    def accept(self, features: np.ndarray | None, final: bool = False) -> None:
        """Hear more features (frames of 10 ms, bins), or None; ``final`` decodes what is left."""
        self._decoder.accept([features], [final])
        self.words.update()

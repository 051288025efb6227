"""One utterance that is decoded chunk by chunk while it is heard."""

from dataclasses import replace

import numpy as np

from dualmode.asr.model import AsrModel
from dualmode.data.tokens import Tokenizer
from dualmode.frames import FRAME_MS, LAST_FRAME_MS
from dualmode.search.searcher import Searcher
from dualmode.search.stream import StreamDecoder
from dualmode.search.words import StableWords, Word
from dualmode.supernet.subnet import Subnet


class StreamedUtterance:
    """Decodes one utterance, and knows since when each of its words is stable.

    Args:
        model: in evaluation mode.
        subnet: which weights and context.
        searcher: greedy or beam.
        tokenizer: of the model's vocabulary.
        start_ms: where in the audio the utterance begins.
    """

    def __init__(self, model: AsrModel, subnet: Subnet, searcher: Searcher, tokenizer: Tokenizer, start_ms: float):
        self._decoder = StreamDecoder(model, subnet, searcher)
        self._search = self._decoder.searches[0]
        self._words = StableWords(tokenizer, start_ms)
        self._waits_ms = FRAME_MS * subnet.context.lookahead + LAST_FRAME_MS
        self._last_frame: int | None = None

    @property
    def frames(self) -> int:
        """Encoder frames of 40 ms searched so far."""
        return self._search.frame

    @property
    def last_token_ms(self) -> float | None:
        """End of the frame of the best hypothesis's last token, from the utterance's beginning on."""
        frames = self._search.best()[0].frames
        last = frames[-1] if frames else self._last_frame
        return None if last is None else FRAME_MS * (last + 1)

    def accept(self, features: np.ndarray | None, final: bool = False) -> None:
        """Hear more features (frames of 10 ms, bins), or None; ``final`` decodes what is left."""
        self._decoder.accept([features], [final])
        tokens, frames = self._search.take()
        if frames:
            self._last_frame = frames[-1]
        heard_ms = self._words.start_ms + FRAME_MS * self.frames + self._waits_ms
        self._words.settle(tokens, frames, heard_ms)

    def partial(self) -> tuple[Word, ...]:
        """Return the words so far; the last ones may still change."""
        best = self._search.best()[0]
        return tuple(self._words.all_words(best.tokens, best.frames))

    def words(self, end_ms: float) -> tuple[Word, ...]:
        """Return the words of the finished utterance; those that only its end made stable are so since ``end_ms``."""
        best = self._search.best(final=True)[0]
        words = self._words.all_words(best.tokens, best.frames, end_ms)
        return tuple(replace(word, stable_ms=min(word.stable_ms, end_ms)) for word in words)

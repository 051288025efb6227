"""Alignment of one utterance after another by the dense sub-network's CTC head."""

from collections.abc import Sequence

import numpy as np
import torch

from dualmode.align.segmentation import fits, token_frames
from dualmode.align.words import TimedWord, timed_words
from dualmode.asr.model import AsrModel
from dualmode.data.rejection import Rejection
from dualmode.data.tokens import Tokenizer
from dualmode.data.transcript_length import frames_needed
from dualmode.frames import FRAME_MS, subsampled
from dualmode.search.words import word_spans
from dualmode.supernet.subnet import DENSE
from dualmode_runtime.audio.fault import Reason


class Aligner:
    """Finds the times of known words.

    Args:
        model: in evaluation mode, with a CTC head.
        tokenizer: of its vocabulary.
    """

    def __init__(self, model: AsrModel, tokenizer: Tokenizer):
        self.model, self.tokenizer = model, tokenizer

    def align(self, utt: str, words: Sequence[str], features: np.ndarray | None) -> list[TimedWord] | Rejection:
        """Return the words' times, or why the utterance has none.

        Args:
            utt: name of the utterance.
            words: its transcript.
            features: (frames of 10 ms, bins); None where there are none.

        Raises:
            UserError: the model has no CTC head, or ctc-segmentation is not installed.
        """
        text = " ".join(words)
        if features is None:
            return Rejection(utt, Reason.NO_AUDIO, "it has a transcript but no features")
        if not words:
            return Rejection(utt, Reason.NO_TEXT, "its transcript is empty")
        if unseen := self.tokenizer.unseen(text):
            return Rejection(utt, Reason.UNSEEN_TOKEN, f"the model's token list lacks {' '.join(unseen)}")
        tokens, frames = self.tokenizer.encode(text), subsampled(len(features))
        if frames < frames_needed(tokens):
            detail = f"{len(tokens)} tokens need {frames_needed(tokens)} frames of {FRAME_MS} ms, it has {frames}"
            return Rejection(utt, Reason.SHORT_FOR_TEXT, detail)
        if not fits(frames, tokens):
            detail = f"{frames} frames of {FRAME_MS} ms and {len(tokens)} tokens need too much memory: cut it in pauses"
            return Rejection(utt, Reason.TOO_LONG, detail)
        spans = word_spans([self.tokenizer.tokens[token] for token in tokens], self.tokenizer.kind)
        if len(spans) != len(words):
            written = self.tokenizer.decode(tokens)
            return Rejection(utt, Reason.UNSEEN_TOKEN, f"the token list turns its words into others: {written}")
        return timed_words(words, spans, token_frames(self._log_probs(features), tokens))

    @torch.inference_mode()
    def _log_probs(self, features: np.ndarray) -> np.ndarray:
        batch = torch.tensor(features)[None]
        encoded, frames = self.model.encoder(batch, torch.tensor([len(features)]), DENSE)
        return self.model.posteriors(encoded[0, : frames[0]]).numpy()

"""Sentences in memory for :mod:`dualmode.bench.learning`: features and tokens, in batches of about equal length."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dualmode.data.cmvn import read_features, statistics
from dualmode.data.kaldi_dir import read_table
from dualmode.data.tokens import BLANK, SPACE, UNK, Tokenizer
from dualmode.errors import UserError
from dualmode.frames import FEATURE_MS, subsampled


@dataclass(frozen=True)
class Batch:
    """Some utterances.

    Attributes:
        features: (batch, feature frames of 10 ms, bins), padded with zeros.
        lengths: (batch,), real feature frames.
        text: (batch, tokens), padded with -1.
        tokens: (batch,), real tokens.
    """

    features: Tensor
    lengths: Tensor
    text: Tensor
    tokens: Tensor

    def references(self) -> list[list[int]]:
        """Return the tokens of each utterance."""
        return [row[:count] for row, count in zip(self.text.tolist(), self.tokens.tolist(), strict=True)]


@dataclass(frozen=True)
class Sentences:
    """A set of utterances, on one device.

    Attributes:
        features: of each utterance, (feature frames, bins) in half precision.
        texts: tokens of each.
        left_out: how many utterances of the folder are not among them.
    """

    features: list[Tensor]
    texts: list[list[int]]
    left_out: int = 0

    @classmethod
    def read(cls, folder: Path, tokenizer: Tokenizer, device: torch.device, frames_a_token: float) -> "Sentences":
        """Read feats.scp and text of a folder; an utterance with fewer encoder frames a token is left out.

        Raises:
            UserError: a file is missing or damaged, or nothing is left.
        """
        texts = read_table(folder / "text")
        features, kept, left_out = [], [], 0
        for utt, matrix in read_features(folder / "feats.scp"):
            tokens = tokenizer.encode(texts[utt]) if utt in texts else []
            if not tokens or int(subsampled(torch.tensor(len(matrix)))) < frames_a_token * len(tokens):
                left_out += 1
                continue
            features.append(torch.from_numpy(np.array(matrix)).to(device, torch.float16))
            kept.append(tokens)
        if not kept:
            raise UserError(f"{folder}: no utterance has {frames_a_token:g} frames of 40 ms a token")
        return cls(features, kept, left_out)

    def first(self, count: int) -> "Sentences":
        """Return ``count`` utterances, spread evenly over the set."""
        chosen = np.linspace(0, len(self.texts) - 1, min(count, len(self.texts))).astype(int)
        return Sentences([self.features[i] for i in chosen], [self.texts[i] for i in chosen])

    @property
    def hours(self) -> float:
        return sum(map(len, self.features)) * FEATURE_MS / 3.6e6

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of the features, (bins,) each."""
        found = statistics(matrix.cpu().numpy() for matrix in self.features)
        return torch.from_numpy(found.mean).float(), torch.from_numpy(found.std).float()

    def batch(self, chosen: Sequence[int]) -> Batch:
        features = [self.features[i].float() for i in chosen]
        texts = [torch.tensor(self.texts[i]) for i in chosen]
        device = features[0].device
        return Batch(
            torch.nn.utils.rnn.pad_sequence(features, batch_first=True),
            torch.tensor([len(matrix) for matrix in features], device=device),
            torch.nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=-1).to(device),
            torch.tensor([len(text) for text in texts], device=device),
        )

    def grouped(self, audio_s: float) -> list[list[int]]:
        """Cut the utterances, by length, into batches of at most ``audio_s`` seconds with their padding."""
        groups: list[list[int]] = [[]]
        for index in sorted(range(len(self.features)), key=lambda i: len(self.features[i])):
            if groups[-1] and (len(groups[-1]) + 1) * len(self.features[index]) * FEATURE_MS > 1000 * audio_s:
                groups.append([])
            groups[-1].append(index)
        return groups

    def endless(self, audio_s: float, seed: int) -> Iterator[Batch]:
        """Yield batches, their order drawn anew in every pass."""
        random, groups = np.random.default_rng([seed, 11]), self.grouped(audio_s)
        while True:
            for group in random.permutation(len(groups)):
                yield self.batch(groups[group])


def characters(folder: Path) -> Tokenizer:
    """Return the characters of a folder's transcripts as a token list."""
    used = {character for text in read_table(folder / "text").values() for character in text} - {" "}
    return Tokenizer("char", [BLANK, UNK, SPACE, *sorted(used)])

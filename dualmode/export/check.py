"""Does sherpa-onnx say what we say?  The exported files are run on audio, and their transcripts compared with ours.

sherpa-onnx runs in a process of its own, since it ends the process when it dislikes a file.
"""

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dualmode.asr.transducer.greedy import greedy
from dualmode.asr.transducer.joiner import Joiner
from dualmode.data.fbank import fbank
from dualmode.data.kaldi_dir import write_table
from dualmode.data.recordings import usable_recordings
from dualmode.data.tokens import Tokenizer
from dualmode.encoder.streaming import StreamingEncoder
from dualmode.errors import UserError
from dualmode.export.runtimes import padded
from dualmode.frames import SAMPLE_RATE
from dualmode.lines import words
from dualmode.models.loaded import LoadedModel
from dualmode.progress import progress
from dualmode.results.score import score_texts
from dualmode.results.text import read_text
from dualmode_runtime.audio.fault import AudioFault
from dualmode_runtime.audio.reading import read_audio, read_header

MAX_INT8_LOSS = 0.5  # percent of the words, absolute

Texts = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Audio:
    """What to run: utterance to path of its audio, and transcripts where all of them are known."""

    paths: dict[str, str]
    references: Texts | None

    @classmethod
    def find(cls, given: Sequence[Path]) -> "Audio":
        """Take audio files, or one Kaldi data folder, whose ``text`` gives the references.

        Raises:
            UserError: one is neither.
        """
        if len(given) == 1 and given[0].is_dir():
            paths, text = usable_recordings(given[0] / "wav.scp"), given[0] / "text"
            references = read_text(text) if text.is_file() else {}
            return cls(paths, {utt: references[utt] for utt in paths} if set(paths) <= set(references) else None)
        for path in given:
            if not path.is_file():
                raise UserError(f"--check {path}: expected audio files, or one data folder with wav.scp")
            try:
                read_header(path, SAMPLE_RATE)
            except AudioFault as fault:
                raise UserError(f"--check: {fault.detail}") from None
        return cls({f"file{number:06}": str(path.resolve()) for number, path in enumerate(given)}, None)

    def samples(self, utt: str) -> np.ndarray:
        try:
            return read_audio(self.paths[utt], SAMPLE_RATE)
        except AudioFault as fault:
            raise UserError(f"--check: {fault}") from None


def run_sherpa(folder: Path, precision: str, audio: Audio) -> Texts:
    """Return the transcripts of sherpa-onnx.

    Raises:
        UserError: it failed; with what it said last.
    """
    with tempfile.TemporaryDirectory() as name:
        tmp = Path(name)
        write_table(tmp / "wav.scp", audio.paths)
        command = [sys.executable, "-m", "dualmode.bin.device_inference", "--model", str(folder)]
        command += ["--precision", precision, "--wav-scp", str(tmp / "wav.scp"), "--out", str(tmp / "out")]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1].removeprefix("error: ")
            raise UserError(f"the exported files do not run in sherpa-onnx ({precision}): {last}")
        return read_text(tmp / "out" / "text")


def join_without_unknown(joiner: Joiner, encoded: Tensor, predicted: Tensor) -> Tensor:
    """Return the joiner's logits (..., vocabulary), those of the unknown token given to the blank."""
    logits = joiner(encoded, predicted)
    best = logits[..., [Tokenizer.blank_id, Tokenizer.unk_id]].amax(dim=-1, keepdim=True)
    nothing = torch.full_like(best, -torch.inf)
    return torch.cat([best, nothing, logits[..., 2:]], dim=-1)


@torch.inference_mode()
def ours(loaded: LoadedModel, samples: np.ndarray, cut: tuple[int, int] | None) -> tuple[str, ...]:
    """Return our transcript of what sherpa-onnx hears.

    Like there, an RNN-T puts out at most one token a frame of 40 ms, and the unknown token counts as the blank.

    Args:
        samples: (n,) at 16 kHz.
        cut: window and shift of a chunk, as :func:`dualmode.export.runtimes.padded` takes them: what is heard has zeros
            after the audio, and no chunk that is not full.  None in the full context: the audio is heard as it is.
    """
    model = loaded.model
    if cut is None:
        features = torch.from_numpy(fbank(samples))
        [encoded], frames = model.encoder(features[None], torch.tensor([len(features)]), loaded.run_as)
    else:
        # A chunk is run there once one more frame than it needs is ready.
        features = torch.from_numpy(fbank(padded(samples, *cut))[:-1])
        [encoded] = StreamingEncoder(model.encoder, loaded.run_as).accept([features])
        frames = torch.tensor([len(encoded)])
    if model.kind == "ctc":
        [tokens] = model.decode_greedy(encoded[None], frames)
    else:
        joiner = partial(join_without_unknown, model.joiner)
        [tokens] = greedy(model.predictor, joiner, encoded[None], frames, max_per_frame=1)
    return tuple(words(loaded.tokenizer.decode(tokens)))


@dataclass(frozen=True)
class Report:
    """What the check found.

    Attributes:
        lines: to print.
        equal: whether every float transcript is ours.
        loss: by how much int8 raises the WER, percent absolute; where no references are known, the share of words that
            it changes, which the loss cannot exceed by much; None without int8.
    """

    lines: list[str]
    equal: bool
    loss: float | None


def wer(references: Texts, texts: Texts) -> float:
    """Return the word error rate in percent."""
    return score_texts(references, texts).words.percent


def compare(expected: Texts, texts: Mapping[str, Texts], references: Texts | None) -> Report:
    """Compare the transcripts of each precision (fp32 and perhaps int8) with ``expected``, ours."""
    lines = []
    for precision, found in texts.items():
        differ = [utt for utt in expected if expected[utt] != found[utt]]
        rate = ""
        if references is not None:
            rate = f", WER {wer(references, found):.2f} % (ours {wer(references, expected):.2f} %)"
        lines.append(f"{precision}: {len(expected) - len(differ)} of {len(expected)} transcripts are ours{rate}")
        lines += [f"  {utt}: {' '.join(found[utt])!r}, ours: {' '.join(expected[utt])!r}" for utt in differ[:3]]
    loss = None
    if "int8" in texts:
        if references is not None:
            loss = wer(references, texts["int8"]) - wer(references, texts["fp32"])
        else:
            loss = wer(texts["fp32"], texts["int8"]) if any(texts["fp32"].values()) else 0.0
    return Report(lines, expected == texts["fp32"], loss)


def check(loaded: LoadedModel, folder: Path, about: dict, audio: Audio) -> Report:
    """Run an export on audio.

    Args:
        loaded: what was exported.
        folder, about: the export.
        audio: what to run it on.
    """
    texts = {precision: run_sherpa(folder, precision, audio) for precision in about["files"]}
    cut = (about["window"], about["shift"]) if "window" in about else None
    expected = {
        utt: ours(loaded, audio.samples(utt), cut) for utt in progress(sorted(audio.paths), "comparing with PyTorch")
    }
    return compare(expected, texts, audio.references)

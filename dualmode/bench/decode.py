"""Greedy decoding of whole utterances: ours in batches against ESPnet's asr_inference, with the same weights.

ESPnet gets our trained encoder and CTC head as a model of its own task and decodes as ``asr_inference --ctc_weight 1.0
--beam_size 1`` does, one utterance at a time (its batch size cannot be another).  So both sides compute the same
posteriors, and the ratio is what batching and the search are worth.  Times are from features to tokens, ours to text.
ESPnet's own Conformer of that size is timed as well: what its users' models take in the place of our encoder.
"""

import argparse
import logging
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import nn

from dualmode.asr.model import AsrModel
from dualmode.bench.encoder import espnet_conformer
from dualmode.bench.timing import interleaved
from dualmode.cli import existing_dir
from dualmode.data.tokens import Tokenizer
from dualmode.decoding.inputs import open_inputs
from dualmode.encoder.config import EncoderConfig
from dualmode.errors import UserError
from dualmode.frames import FEATURE_MS
from dualmode.models.folder import ModelFolder
from dualmode.search.offline import decode_offline, pad
from dualmode.search.searcher import greedy_searcher
from dualmode.supernet.subnet import DENSE

COLUMNS = ("what", "batch_size", "utterances", "audio_s", "ms", "rtf", "times_faster", "same_tokens_percent")
END = "<sos/eos>"
NEVER = -1e4  # logit of a token that no frame puts out


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=existing_dir, required=True, metavar="DIR", help="model folder")
    parser.add_argument(
        "--data", type=existing_dir, required=True, metavar="DIR", help="features, or audio files, to decode"
    )
    parser.add_argument("--utterances", type=int, default=64, metavar="N", help="how many, evenly from all of them")
    parser.add_argument(
        "--batch-size", nargs="+", type=int, default=[1, 8, 32], metavar="N", help="utterances side by side, of ours"
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="timed rounds; the median counts")


def measure(args: argparse.Namespace) -> list[dict]:
    """Return a row for ESPnet's decoding, for its encoder alone, and for ours with each batch size.

    Raises:
        UserError: the model is no CTC model, or there is nothing to decode.
    """
    if min(args.utterances, args.rounds, *args.batch_size) < 1:
        raise UserError("--utterances, --batch-size and --rounds must be at least 1")
    loaded = ModelFolder.open(args.model).load(DENSE)
    if loaded.model.kind != "ctc":
        raise UserError(f"{args.model} is an RNN-T: greedy CTC decoding is compared, so a CTC model is needed")
    inputs = open_inputs(args.data)
    keys = sorted(inputs)
    every = np.linspace(0, len(keys) - 1, min(args.utterances, len(keys))).round().astype(int)
    features = sorted((inputs[keys[index]].copy() for index in every), key=len)  # little padding, as asr_inference

    with tempfile.TemporaryDirectory() as folder:
        espnet = espnet_decoder(loaded.model, Path(folder))
    runs: dict[tuple[str, int], Callable[[], list]] = {
        ("ESPnet asr_inference", 1): partial(decode_espnet, espnet, features),
        ("ESPnet asr_inference, encoder alone", 1): partial(encode, espnet.asr_model.encoder, features),
        ("ESPnet's Conformer of that size, alone", 1): partial(
            encode, same_size(loaded.model.encoder.config), features
        ),
    }
    for size in args.batch_size:
        for what, bf16 in (("ours", False), ("ours, bf16", True)):
            runs[what, size] = partial(decode_ours, loaded.model, loaded.tokenizer, features, size, bf16)
    reference = decode_espnet(espnet, features)
    seconds = interleaved(runs, args.rounds)
    audio_s = FEATURE_MS * sum(map(len, features)) / 1000
    rows = []
    for (what, size), run in runs.items():
        row = {"what": what, "batch_size": size, "utterances": len(features), "audio_s": audio_s}
        row |= {"ms": 1000 * seconds[what, size], "rtf": seconds[what, size] / audio_s}
        row["times_faster"] = seconds["ESPnet asr_inference", 1] / seconds[what, size]
        if what.startswith("ours"):
            same = sum(ours == theirs for ours, theirs in zip(run(), reference, strict=True))
            row["same_tokens_percent"] = 100 * same / len(features)
        rows.append(row)
    return rows


def decode_ours(
    model: AsrModel, tokenizer: Tokenizer, features: Sequence[np.ndarray], size: int, bf16: bool = False
) -> list[list[int]]:
    """Return the tokens of each utterance, decoded ``size`` at a time; their text is made too."""
    searcher, found = greedy_searcher(model), []
    for start in range(0, len(features), size):
        for search in decode_offline(model, features[start : start + size], DENSE, searcher, bf16):
            tokens = search.best(1, final=True)[0].tokens
            tokenizer.decode(tokens)
            found.append(list(tokens))
    return found


def espnet_decoder(model: AsrModel, folder: Path):
    """Return ESPnet's Speech2Text with our encoder and CTC head, loaded from files as its command does.

    Args:
        model: whose masks are multiplied in already, or do not matter.
        folder: for config.yaml and model.pth.
    """
    from espnet2.bin.asr_inference import Speech2Text
    from espnet2.tasks.asr import ASRTask

    from dualmode.tasks.encoder import NAME, register

    register()
    config: EncoderConfig = model.encoder.config
    # ESPnet's vocabulary ends with its sentence mark, which our head does not know.
    settings = vars(ASRTask.get_parser().parse_args([])) | {
        "token_list": [*model.tokens, END],
        "input_size": config.input_size,
        "encoder": NAME,
        "encoder_conf": {key: value for key, value in config.to_dict().items() if key != "input_size"},
        "model_conf": {"ctc_weight": 1.0},
        "frontend": None,
        "normalize": None,
        "specaug": None,
        "decoder": None,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(plain(settings)), encoding="utf-8")
    weights = {f"encoder.{name}": tensor for name, tensor in model.encoder.state_dict().items()}
    weights["ctc.ctc_lo.weight"] = nn.functional.pad(model.head.weight.detach(), (0, 0, 0, 1))
    weights["ctc.ctc_lo.bias"] = nn.functional.pad(model.head.bias.detach(), (0, 1), value=NEVER)
    torch.save(weights, folder / "model.pth")
    options = {"ctc_weight": 1.0, "beam_size": 1, "lm_weight": 0.0, "penalty": 0.0}
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)  # what ESPnet says about what is not there
    try:
        return Speech2Text(str(folder / "config.yaml"), str(folder / "model.pth"), **options)
    finally:
        logging.disable(level)


def plain(value):
    """Return ``value`` with lists for tuples, as YAML's safe dump takes it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


@torch.inference_mode()
def decode_espnet(decoder, features: Sequence[np.ndarray]) -> list[list[int]]:
    """Return the tokens of each utterance, decoded one by one."""
    return [list(decoder(one)[0][2]) for one in features]


def same_size(config: EncoderConfig) -> nn.Module:
    """Return ESPnet's Conformer of our encoder's width, depth, feed-forward size, kernel and heads."""
    size = (config.output_size, config.num_blocks, config.linear_units, config.kernel_size)
    return espnet_conformer(*size, heads=config.attention_heads).eval()


@torch.inference_mode()
def encode(encoder: nn.Module, features: Sequence[np.ndarray]) -> list[torch.Tensor]:
    """Return an ESPnet encoder's output of each utterance, one by one."""
    return [encoder(*pad([one]))[0] for one in features]

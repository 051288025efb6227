"""ESPnet's Conformer as the outside reference: its encoder, our trainer, data, tokens, CTC head and greedy search.

  python studies/reference.py train OPTIONS     those of dualmode train; goes on where it was stopped
  python studies/reference.py decode --model EXP --data DUMP/SET --out EXP/decode_dense_SET

Only the encoder differs, with its own subsampling, start and BatchNorm, and the settings of ESPnet's recipes; it is as
wide and deep as the YAML says of ours.  ESPnet's own task would differ in the batches, the schedule and the mean of the
best epochs, too.  It hears the whole utterance and starts from random weights.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from dualmode.asr.build import build_asr_model
from dualmode.bench.encoder import espnet_conformer
from dualmode.bin.asr_train import get_parser as training_parser
from dualmode.bin.asr_train import train_recogniser
from dualmode.cli import existing_dir, run
from dualmode.config import from_mapping
from dualmode.data.kaldi_dir import write_table
from dualmode.decoding.inputs import open_inputs
from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.subsampling import GlobalNorm
from dualmode.errors import UserError
from dualmode.models.folder import ModelFolder
from dualmode.models.weights import load_into
from dualmode.progress import progress
from dualmode.supernet.subnet import Subnet
from dualmode.tasks.asr import AsrTask
from dualmode.tasks.encoder import EspnetEncoder
from dualmode_runtime.files import write_json


class EspnetConformer(nn.Module):
    """ESPnet's ConformerEncoder as the two-branch model takes an encoder: a dense branch, and no masks."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.config = config
        self.normalize = GlobalNorm(config.input_size)
        self.draws = torch.Generator()
        sizes = (config.output_size, config.num_blocks, config.linear_units, config.kernel_size)
        self.conformer = espnet_conformer(*sizes, config.attention_heads)

    def embed(
        self, features: Tensor, lengths: Tensor, augment: Callable[[Tensor, Tensor], Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Run the whole encoder: features (batch, frames of 10 ms, bins) to (batch, frames of 40 ms, d) and lengths."""
        x = self.normalize(features)
        encoded, frames, _ = self.conformer(x if augment is None else augment(x, lengths), lengths)
        return encoded, frames

    def encode(self, x: Tensor, lengths: Tensor, subnet: Subnet) -> Tensor:
        """Return x: there is one sub-network, which :meth:`embed` has run."""
        return x


class ReferenceTask(AsrTask):
    """Fine-tuning of ESPnet's Conformer alone."""

    @classmethod
    def build_encoder(cls, args: argparse.Namespace) -> EspnetEncoder:
        if args.branch_conf.get("sparse") != 0 or args.pruning_conf.get("interval") != 0 or args.init_encoder:
            raise UserError(
                "ESPnet's Conformer has no sparse branch and starts from random weights: give --branch_conf sparse=0 "
                "--pruning_conf interval=0, and no --init"
            )
        return cast(EspnetEncoder, EspnetConformer(super().build_encoder(args).config))


def train(argv: Sequence[str]) -> None:
    args, options = training_parser().parse_known_args(argv)
    train_recogniser(ReferenceTask, args, options)


def decode(argv: Sequence[str]) -> None:
    """Decode a set greedily and write text and decode.json, as stage 5 does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=existing_dir, required=True)
    parser.add_argument("--data", type=existing_dir, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    folder = ModelFolder.open(args.model)
    encoder = EspnetConformer(from_mapping(EncoderConfig, folder.config["encoder_conf"], "encoder_conf"))
    model = build_asr_model(folder.config, folder.tokenizer.tokens, encoder)
    load_into(model, folder.weights(), folder.checkpoint)
    model.eval()
    utterances, seconds, frames = open_inputs(args.data), 0.0, 0
    texts: dict[str, str] = {}
    for key in progress(sorted(utterances), f"decoding {args.data.name}"):
        features = torch.tensor(utterances[key])[None]
        start = time.perf_counter()
        with torch.inference_mode():
            (tokens,) = model.decode_greedy(*model.encoder.embed(features, torch.tensor([features.shape[1]])))
        seconds += time.perf_counter() - start
        frames += features.shape[1]
        texts[key] = folder.tokenizer.decode(tokens)
    args.out.mkdir(parents=True, exist_ok=True)
    write_table(args.out / "text", texts)
    size = sum(parameter.numel() for parameter in model.parameters())
    write_json(
        args.out / "decode.json",
        {
            **{"set": args.data.name, "subnet": "dense", "sparsity": 0.0},
            **{"chunk_ms": None, "lookahead_ms": None, "left_ms": None},
            **{"params_total": size, "params_kept": size, "bytes": 4 * size, "rtf": 100 * seconds / frames},
            **{"audio_s": frames / 100, "decode_s": seconds, "utterances": len(texts)},
            **{"threads": torch.get_num_threads(), "batch_size": 1, "checkpoint": str(folder.checkpoint)},
            **{
                "seed": folder.config.get("seed"),
                "command": shlex.join(["python", "studies/reference.py", *sys.argv[1:]]),
            },
        },
    )


def main(argv: Sequence[str] | None = None) -> None:
    words = sys.argv[1:] if argv is None else list(argv)
    commands = {"train": train, "decode": decode}
    if not words or words[0] not in commands:
        print(__doc__)
        raise SystemExit(0 if words and words[0] in ("-h", "--help") else 2)
    commands[words[0]](words[1:])


if __name__ == "__main__":
    run(main)

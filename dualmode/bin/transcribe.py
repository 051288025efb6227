"""Write the text of audio files, whole ones, with any sub-network.

  dualmode transcribe exp/asr_base speech.wav
  dualmode transcribe exp/asr_base --subnet dense --format srt --out-dir subtitles talks/
  dualmode transcribe model.dmdl --format jsonl recordings.txt >transcripts.jsonl

MODEL is a model folder, or a device file (.dmdl), which is run without PyTorch, greedily. The confidence of a word is
from 0 to 1.
"""

import argparse
from collections.abc import Sequence

from dualmode.cli import make_parser, run
from dualmode.errors import UserError
from dualmode.models.options import (
    MODEL_OR_DEVICE_FILE,
    add_device,
    add_model,
    add_subnet,
    chosen_model,
    existing_model,
    refuse_for_device_file,
)
from dualmode.search.config import SearchConfig
from dualmode.search.options import add_search, given_search
from dualmode_runtime.transcribe import ABOUT_AUDIO, add_audio, transcribe


def get_parser() -> argparse.ArgumentParser:
    parser = make_parser(__doc__ + ABOUT_AUDIO, "transcribe")
    add_model(parser, MODEL_OR_DEVICE_FILE, existing_model)
    add_audio(parser)
    add_subnet(parser)
    add_search(parser)
    add_device(parser)
    parser.add_argument("--batch-size", type=int, default=8, metavar="N", help="recordings, or pieces, side by side")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="CPU threads; 0 is all cores")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = get_parser().parse_intermixed_args(argv)
    for name, lowest in (("batch_size", 1), ("threads", 0)):
        if not getattr(args, name) >= lowest:
            raise UserError(f"--{name.replace('_', '-')} is {getattr(args, name)}: it must be at least {lowest}")
    if args.model.is_file():
        refuse_for_device_file(args, "threads")
    search = SearchConfig(**given_search(args))

    def opened():
        if args.model.is_file():
            from dualmode.device.opening import open_recognizer

            return open_recognizer(args.model).recognise
        return torch_recogniser(args, search)

    return transcribe(args, opened, args.batch_size, search.nbest)


def torch_recogniser(args, search: SearchConfig):
    """Return what recognises pieces of recordings with a model folder."""
    import torch

    from dualmode.recognizer import Recognizer

    if args.threads:
        torch.set_num_threads(args.threads)
    return Recognizer.from_pretrained(args.model, search=search, **chosen_model(args)).recognise


if __name__ == "__main__":
    run(main)

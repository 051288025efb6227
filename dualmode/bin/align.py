"""Word times of a set, by CTC alignment of its transcripts with the dense sub-network, in steps of 40 ms.

Reads   DATA/text and feats.scp (or wav.scp of 16 kHz mono files), the model
Writes  OUT/ctm              utterance, channel, begin and duration in seconds, word
        OUT/unaligned.tsv    utterances that have no alignment, each with its reason

Needs the package ctc-segmentation: tools/setup.sh --with-align.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from dualmode.cli import existing_dir, make_parser, run
from dualmode.errors import UserError
from dualmode.models.options import add_model
from dualmode.progress import progress


def get_parser() -> argparse.ArgumentParser:
    parser = make_parser(__doc__, "align")
    add_model(parser)
    parser.add_argument(
        "--data", type=existing_dir, required=True, metavar="DATA", help="transcripts, and features or audio files"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="folder to write")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    from dualmode.align.ctm import write_ctm
    from dualmode.align.dense import Aligner
    from dualmode.align.segmentation import load_package
    from dualmode.data.rejection import Rejection, summarise, write_rejections
    from dualmode.decoding.inputs import open_inputs
    from dualmode.models.folder import ModelFolder
    from dualmode.results.output import writable
    from dualmode.results.text import read_text
    from dualmode.supernet.subnet import DENSE
    from dualmode_runtime.audio.fault import AudioFault

    load_package()
    folder = ModelFolder.open(args.model, args.checkpoint)
    transcripts = read_text(args.data / "text")
    features = open_inputs(args.data, folder.encoder_config.input_size)
    loaded = folder.load(DENSE)
    aligner = Aligner(loaded.model, loaded.tokenizer)
    aligned, unaligned = {}, []
    for utt, words in progress(transcripts.items(), f"aligning {args.data.name}", len(transcripts)):
        try:
            found = aligner.align(utt, words, features.get(utt))
        except UserError as error:
            fault = error.__cause__
            if not isinstance(fault, AudioFault):
                raise
            found = Rejection(utt, fault.reason, fault.detail)  # of its recording alone: the others have their times
        if isinstance(found, Rejection):
            unaligned.append(found)
        else:
            aligned[utt] = found
    write_ctm(args.out / "ctm", aligned)
    with writable(args.out / "unaligned.tsv"):
        write_rejections(args.out / "unaligned.tsv", unaligned)
    print(f"aligned {len(aligned)} of {len(transcripts)} utterances: {args.out / 'ctm'}")
    if unaligned:
        print(f"without alignment: {summarise(unaligned)}; see {args.out / 'unaligned.tsv'}")


if __name__ == "__main__":
    run(main)

"""Make the token list of a recogniser from the training transcripts.

Writes OUT/tokens.txt (one token a line, <blank> and <unk> first), OUT/tokens.json and, for --type bpe, OUT/bpe.model.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from dualmode.cli import existing_file, make_parser, run


def get_parser() -> argparse.ArgumentParser:
    parser = make_parser(__doc__, "make_tokens")
    parser.add_argument(
        "--text", type=existing_file, required=True, metavar="TEXT", help="Kaldi text file: id and transcript a line"
    )
    parser.add_argument("--exclude", type=existing_file, metavar="TSV", help="list of rejected utterances to leave out")
    parser.add_argument("--type", choices=("char", "word", "bpe"), default="char", help="what a token is")
    parser.add_argument(
        "--vocab-size", type=int, metavar="N", help="tokens in all, for bpe and word (default: all words)"
    )
    parser.add_argument(
        "--bpe-algorithm", choices=("unigram", "bpe"), default="unigram", help="SentencePiece algorithm for --type bpe"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="folder to write")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    from dualmode.data.corpus.summary import advice
    from dualmode.data.kaldi_dir import read_table
    from dualmode.data.make_tokens import check_transcripts, make_token_list
    from dualmode.data.rejection import read_rejections

    excluded = {rejection.utt for rejection in read_rejections(args.exclude)} if args.exclude else set()
    transcripts = {utt: text for utt, text in read_table(args.text).items() if utt not in excluded}
    check_transcripts(transcripts, args.text)
    texts = list(transcripts.values())
    tokens = make_token_list(texts, args.out, args.type, args.vocab_size, args.bpe_algorithm)
    print(f"{args.out}: {len(tokens)} tokens of type {args.type} from {len(texts)} transcripts")
    characters = Counter(char for text in texts for char in "".join(text.split()))
    for note in advice(characters):
        print(f"{args.out}: {note}")


if __name__ == "__main__":
    run(main)

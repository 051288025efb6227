"""Stage 5: decode a set with one sub-network; a chunked one really runs chunk by chunk, with caches.

Reads features (feats.scp) or audio files (wav.scp).  Writes Kaldi's text, n-best lists with tokens, their times and
scores (1best_recog/, 2best_recog/ ...), and decode.json (what was run, its size, its speed).
"""

import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dualmode.cli import existing_dir, existing_file, make_parser, run
from dualmode.cluster.parts import Part, add_options, run_parts
from dualmode.errors import UserError
from dualmode.files import check_writable, write_json
from dualmode.progress import progress

if TYPE_CHECKING:
    from dualmode.search.hypothesis import Hypothesis

DEFAULTS: dict[str, Any] = {"sparsity": 0.0, "chunk_ms": None, "left_ms": None, "lookahead_ms": 0}
DEFAULTS |= {"batch_size": 1, "threads": 0, "precision": "fp32"}
PRECISIONS = ("fp32", "bf16")
SEARCH = ("beam_size", "nbest", "lm", "lm_weight", "hotwords", "hotword_boost")


def get_parser():
    parser = make_parser(__doc__, "asr_inference")
    parser.add_argument(
        "--config",
        type=existing_file,
        required=True,
        help="YAML: sparsity (0: dense), chunk_ms and left_ms (null: full context), lookahead_ms (look-ahead), "
        "batch_size (utterances, or streams side by side), threads (0: all cores), "
        "precision (fp32, or bf16 in the full context), beam_size (1: greedy), nbest, lm (ARPA file) and lm_weight, "
        "hotwords (list) and hotword_boost",
    )
    parser.add_argument("--model", type=existing_dir, required=True, help="model folder of dualmode.bin.asr_train")
    parser.add_argument("--checkpoint", help="file in it; by default the best one")
    parser.add_argument(
        "--data", type=existing_dir, required=True, help="folder with feats.scp, or with wav.scp of 16 kHz mono files"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--force", action="store_true", help="run the model as a sub-network it was not trained as")
    parser.add_argument(
        "--part", metavar="I/N", help="decode only every N-th utterance from the I-th on, into OUT/parts/I"
    )
    add_options(parser)
    return parser


def read_settings(path: Path) -> dict:
    """Return the decoding YAML with defaults filled in; an unknown key or impossible value is a UserError."""
    from dualmode.models.weights import read_yaml
    from dualmode.old_names import with_new_keys

    settings = with_new_keys(read_yaml(path), str(path))
    unknown = sorted(set(settings) - {*DEFAULTS, *SEARCH})
    if unknown:
        raise UserError(f"{path} has the key {unknown[0]!r}; it may hold {', '.join([*DEFAULTS, *SEARCH])}")
    settings = {**DEFAULTS, **settings}
    for key, lowest in (("batch_size", 1), ("threads", 0)):
        value = settings[key]
        if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
            raise UserError(f"{path}: {key} is {value!r}: it must be a whole number of at least {lowest}")
    for key in ("sparsity", "chunk_ms", "left_ms", "lookahead_ms"):
        value, optional = settings[key], key in ("chunk_ms", "left_ms")
        if not (isinstance(value, (int, float)) and not isinstance(value, bool)) and not (optional and value is None):
            raise UserError(f"{path}: {key} is {value!r}: it must be a number" + (" or null" if optional else ""))
    if settings["precision"] not in PRECISIONS:
        raise UserError(f"{path}: precision is {settings['precision']!r}: it must be one of {', '.join(PRECISIONS)}")
    if settings["precision"] == "bf16" and settings["chunk_ms"] is not None:
        raise UserError(f"{path}: precision bf16 is for the full context (chunk_ms: null); streams are decoded in fp32")
    return settings


def make_batches(utterances, names: Sequence[str], size: int) -> list[list[str]]:
    """Return ``names`` in batches of ``size``; those of similar length go together, for little padding."""
    keys = names if size == 1 else sorted(names, key=lambda key: (utterances.frames(key), key))
    return [list(keys[start : start + size]) for start in range(0, len(keys), size)]


def decode_as_jobs(args, arguments: Sequence[str]) -> None:
    """Decode in parts, by jobs, and join what they wrote."""
    from dualmode.decoding.inputs import open_inputs
    from dualmode.decoding.join import join_decodes

    shutil.rmtree(args.out / "parts", ignore_errors=True)
    count = run_parts(args, "dualmode.bin.asr_inference", arguments, most=len(open_inputs(args.data)))
    meta = join_decodes([args.out / "parts" / str(index) for index in range(1, count + 1)], args.out)
    meta["command"] = shlex.join(["python", "-m", "dualmode.bin.asr_inference", *arguments])
    write_json(args.out / "decode.json", meta)
    shutil.rmtree(args.out / "parts")
    print(f"decoded {meta['utterances']} utterances of {meta['audio_s']:.0f} s by {count} jobs: {args.out / 'text'}")


def main(argv: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if argv is None else list(argv)
    args = get_parser().parse_args(arguments)
    settings = read_settings(args.config)
    if args.cmd:
        decode_as_jobs(args, arguments)
        return
    import torch

    from dualmode.decoding.inputs import open_inputs
    from dualmode.decoding.output import write_nbest
    from dualmode.models.folder import ModelFolder
    from dualmode.search.offline import decode_offline
    from dualmode.search.searcher import SearchConfig, make_searcher
    from dualmode.search.stream import decode_streams
    from dualmode.supernet.subnet import Context, Subnet

    search = SearchConfig(**{key: settings[key] for key in SEARCH if key in settings})
    context = Context.from_ms(settings["chunk_ms"], settings["left_ms"], settings["lookahead_ms"])
    subnet = Subnet(float(settings["sparsity"]), context)
    if settings["threads"]:
        torch.set_num_threads(settings["threads"])
    utterances = open_inputs(args.data)
    part = Part.parse(args.part) if args.part else Part(1, 1)
    names, out = part.of(sorted(utterances)), args.out / "parts" / str(part.index) if args.part else args.out
    if not names:
        raise UserError(f"--part {args.part}: {args.data} has {len(utterances)} utterances only")
    check_writable(out)
    loaded = ModelFolder.open(args.model, args.checkpoint).load(subnet, args.force)
    searcher = make_searcher(loaded.model, loaded.tokenizer, search)
    decode = decode_streams
    if context.chunk is None:
        decode = partial(decode_offline, bf16=settings["precision"] == "bf16")

    seconds, frames = 0.0, 0
    nbest: dict[str, list[Hypothesis]] = {}
    batches = make_batches(utterances, names, settings["batch_size"])
    for batch in progress(batches, f"decoding {args.data.name} ({subnet})"):
        features = [utterances[key] for key in batch]
        start = time.perf_counter()
        searches = decode(loaded.model, features, loaded.run_as, searcher)
        found = [one.best(search.nbest, final=True) for one in searches]
        seconds += time.perf_counter() - start
        frames += sum(map(len, features))
        nbest |= dict(zip(batch, found, strict=True))

    audio = frames / 100
    write_nbest(out, nbest, loaded.tokenizer)
    write_json(
        out / "decode.json",
        {
            "set": args.data.name,
            "subnet": args.config.stem.removeprefix("decode_"),
            "sparsity": subnet.sparsity,
            "chunk_ms": subnet.context.chunk_ms,
            "lookahead_ms": subnet.context.lookahead_ms,
            "left_ms": subnet.context.left_ms,
            "params_total": loaded.parameters_total,
            "params_kept": loaded.parameters_kept,
            "bytes": loaded.stored_bytes,
            "rtf": seconds / audio if audio else 0.0,
            "audio_s": audio,
            "decode_s": seconds,
            "utterances": len(nbest),
            "threads": torch.get_num_threads(),
            "batch_size": settings["batch_size"],
            "precision": settings["precision"],
            "beam_size": search.beam_size,
            "checkpoint": str(loaded.checkpoint),
            "seed": loaded.config.get("seed"),
            "command": shlex.join(["python", "-m", "dualmode.bin.asr_inference", *arguments]),
        },
    )
    print(f"decoded {len(nbest)} utterances of {audio:.0f} s in {seconds:.1f} s as {subnet}: {out / 'text'}")


if __name__ == "__main__":
    run(main)

"""Stage 5: decode a set with one sub-network; a chunked one really runs chunk by chunk, with caches.

Writes Kaldi's ``text`` and ``decode.json`` (what was run, its size, its speed).
"""

import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from dualmode.cli import existing_dir, existing_file, make_parser, run
from dualmode.errors import UserError
from dualmode.files import atomic_write, write_json
from dualmode.progress import progress

DEFAULTS = {"sparsity": 0.0, "chunk_ms": None, "left_ms": None, "right_ms": 0, "batch_size": 1, "threads": 0}
SEARCH = ("method", "beam_size", "nbest", "lm", "lm_weight", "hotwords", "hotword_boost")


def get_parser():
    parser = make_parser(__doc__, "asr_inference")
    parser.add_argument(
        "--config",
        type=existing_file,
        required=True,
        help="YAML: sparsity (0: dense), chunk_ms and left_ms (null: full context), right_ms (look-ahead), "
        "batch_size (utterances, or streams side by side), threads (0: all cores), method (greedy, beam), beam_size, "
        "nbest, lm (ARPA file) and lm_weight, hotwords (list) and hotword_boost",
    )
    parser.add_argument("--model", type=existing_dir, required=True, help="model folder of dualmode.bin.asr_train")
    parser.add_argument("--checkpoint", help="file in it; by default the best one")
    parser.add_argument("--data", type=existing_dir, required=True, help="features of stage 1 to decode")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--force", action="store_true", help="run the model as a sub-network it was not trained as")
    return parser


def read_settings(path: Path) -> dict:
    """Return the decoding YAML with defaults filled in; an unknown key or impossible value is a UserError."""
    from dualmode.checkpoint import read_yaml

    settings = read_yaml(path)
    unknown = sorted(set(settings) - {*DEFAULTS, *SEARCH})
    if unknown:
        raise UserError(f"{path} has the key {unknown[0]!r}; it may hold {', '.join([*DEFAULTS, *SEARCH])}")
    settings = {**DEFAULTS, **settings}
    for key, lowest in (("batch_size", 1), ("threads", 0)):
        if not isinstance(settings[key], int) or settings[key] < lowest:
            raise UserError(f"{path}: {key} is {settings[key]!r}: it must be a whole number of at least {lowest}")
    return settings


def main(argv: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if argv is None else list(argv)
    args = get_parser().parse_args(arguments)
    settings = read_settings(args.config)
    import kaldiio
    import torch

    from dualmode.decoding.batch import search_offline, search_streams
    from dualmode.decoding.load import load_recogniser
    from dualmode.decoding.search import SearchConfig, search_factory
    from dualmode.supernet.subnet import Context, Subnet

    if settings["threads"]:
        torch.set_num_threads(settings["threads"])
    try:
        features = kaldiio.load_scp(str(args.data / "feats.scp"))
    except FileNotFoundError:
        raise UserError(f"there is no {args.data / 'feats.scp'}: run stage 1, or dualmode.bin.make_fbank") from None
    search_config = SearchConfig(**{key: settings[key] for key in SEARCH if key in settings})
    subnet = Subnet(
        float(settings["sparsity"]), Context.from_ms(settings["chunk_ms"], settings["left_ms"], settings["right_ms"])
    )
    loaded = load_recogniser(args.model, subnet, args.checkpoint, args.force)
    as_dense = Subnet(0.0, subnet.context)  # its masks are multiplied in already

    make_search = search_factory(loaded.model, loaded.tokenizer, search_config)
    search_batch = search_offline if subnet.context.chunk is None else search_streams

    seconds = frames = 0
    nbest = {}
    keys = sorted(features)
    if settings["batch_size"] == 1:
        ordered = keys
    else:  # little padding
        ordered = sorted(keys, key=lambda key: (len(features[key]), key))
    batches = [ordered[start : start + settings["batch_size"]] for start in range(0, len(keys), settings["batch_size"])]
    for batch in progress(batches, f"decoding {args.data.name} ({subnet})"):
        utterances = [features[key] for key in batch]
        start = time.perf_counter()
        searches = search_batch(loaded.model, utterances, as_dense, make_search)
        found = [search.best(search_config.nbest, final=True) for search in searches]
        seconds += time.perf_counter() - start
        frames += sum(map(len, utterances))
        nbest |= dict(zip(batch, found, strict=True))

    texts = {key: loaded.tokenizer.decode(nbest[key][0].tokens) for key in keys}
    audio = frames / 100
    with atomic_write(args.out / "text") as out:
        out.writelines(f"{key} {texts[key]}".rstrip() + "\n" for key in keys)
    for rank in range(search_config.nbest):
        folder = args.out / f"nbest/{rank + 1}best_recog"
        ranked = {key: nbest[key][rank] for key in keys if rank < len(nbest[key])}
        with atomic_write(folder / "text") as out:
            out.writelines(f"{key} {loaded.tokenizer.decode(h.tokens)}".rstrip() + "\n" for key, h in ranked.items())
        with atomic_write(folder / "score") as out:
            out.writelines(f"{key} {h.score:.6f}\n" for key, h in ranked.items())
        with atomic_write(folder / "token") as out:
            for key, h in ranked.items():
                out.write(" ".join([key, *(loaded.tokenizer.tokens[token] for token in h.tokens)]) + "\n")
    write_json(
        args.out / "decode.json",
        {
            "set": args.data.name,
            "subnet": args.config.stem.removeprefix("decode_"),
            "sparsity": subnet.sparsity,
            "chunk_ms": subnet.context.chunk_ms,
            "lookahead_ms": subnet.context.right_ms,
            "left_ms": subnet.context.left_ms,
            "params_total": loaded.parameters_total,
            "params_kept": loaded.parameters_kept,
            "bytes": loaded.stored_bytes,
            "rtf": seconds / audio,
            "audio_s": audio,
            "decode_s": seconds,
            "utterances": len(keys),
            "threads": torch.get_num_threads(),
            "batch_size": settings["batch_size"],
            "checkpoint": str(loaded.checkpoint),
            "seed": loaded.config.get("seed"),
            "command": shlex.join(["python", "-m", "dualmode.bin.asr_inference", *arguments]),
        },
    )
    print(f"decoded {len(keys)} utterances of {audio:.0f} s in {seconds:.1f} s as {subnet}: {args.out / 'text'}")


if __name__ == "__main__":
    run(main)

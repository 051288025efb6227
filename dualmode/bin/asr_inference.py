"""Stage 5: decode a set with one sub-network; a chunked one really runs chunk by chunk, with caches.

Reads features (feats.scp) or audio files (wav.scp).  Writes Kaldi's text, n-best lists with tokens, their times and
scores (1best_recog/, 2best_recog/ ...), and decode.json (what was run, its size, its speed).
"""

import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from dualmode import __version__
from dualmode.cli import existing_dir, existing_file, make_parser, run
from dualmode.cluster.parts import Part, add_options, check_options, run_parts
from dualmode.commands import command_line
from dualmode.errors import UserError
from dualmode.models.options import add_device, add_model, add_subnet, chosen_device, chosen_name
from dualmode.progress import progress
from dualmode.search.options import add_search, given_search
from dualmode_runtime.files import check_writable, sha256_of, write_json

if TYPE_CHECKING:
    from dualmode.search.hypothesis import Hypothesis
    from dualmode.supernet.subnet import Subnet


def get_parser():
    parser = make_parser(__doc__, "asr_inference")
    add_model(parser)
    parser.add_argument(
        "--data", type=existing_dir, required=True, metavar="DIR", help="with feats.scp, or with wav.scp of 16 kHz mono"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--config",
        type=existing_file,
        metavar="YAML",
        help="instead of options: sparsity (0: dense), chunk_ms and left_ms (null: full context), lookahead_ms, "
        "batch_size, threads, precision, beam_size, nbest, lm, lm_weight, hotwords (list), hotword_boost; and device",
    )
    add_subnet(parser)
    parser.add_argument("--batch-size", type=int, metavar="N", help="utterances, or streams, side by side (default: 1)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads; 0 is all cores (default: 0)")
    parser.add_argument("--precision", choices=("fp32", "bf16"), help="of the full context's matrices (default: fp32)")
    add_search(parser)
    add_device(parser)
    parser.add_argument(
        "--part", metavar="I/N", help="decode only every N-th utterance from the I-th on, into OUT/parts/I"
    )
    add_options(parser)
    return parser


def chosen(args, folder) -> tuple[dict, "Subnet", str]:
    """Return the settings of RUN, the sub-network and its name in tables, from --config or from options.

    Raises:
        UserError: a value is impossible, or both --config and an option say what to decode with.
    """
    from dualmode.decoding.settings import PLACE, RUN, check_run, read_settings
    from dualmode.supernet.subnet import Context, Subnet

    given = {key: getattr(args, key) for key in RUN if getattr(args, key) is not None} | given_search(args)
    if args.config is None:
        settings = {**RUN, **PLACE, **given}
        check_run(settings)
        subnet = folder.choose(chosen_name(args), args.chunk_ms, args.left_ms, args.lookahead_ms)
        if settings["precision"] == "bf16" and subnet.context.chunk is not None:
            raise UserError("--precision bf16 is for the full context; streams are decoded in fp32")
        return settings, subnet, name_of(args, subnet, settings.get("beam_size", 1), settings["precision"])
    words = ("subnet", "sparsity", "chunk_ms", "left_ms", "lookahead_ms")
    if given or any(getattr(args, key) is not None for key in words):
        raise UserError(f"give what to decode with either in {args.config} or by options, not by both")
    settings = read_settings(args.config)
    context = Context.from_ms(settings["chunk_ms"], settings["left_ms"], settings["lookahead_ms"])
    return settings, Subnet(float(settings["sparsity"]), context), args.config.stem.removeprefix("decode_")


def name_of(args, subnet: "Subnet", beam_size: int, precision: str) -> str:
    """Return what tells a decoding by options from others of the model: its sub-network, and what was asked for."""
    asked = (("chunk_ms", "{:g}ms"), ("left_ms", "left{:g}ms"), ("lookahead_ms", "lookahead{:g}ms"))
    words = [form.format(getattr(args, key)) for key, form in asked if getattr(args, key) is not None]
    words += [f"beam{beam_size}"] if beam_size > 1 else []
    words += [precision] if precision != "fp32" else []
    return "_".join([args.subnet or ("sparse" if subnet.sparsity else "dense"), *words])


def make_batches(utterances, names: Sequence[str], size: int) -> list[list[str]]:
    """Return ``names`` in batches of ``size``; those of similar length go together, for little padding."""
    keys = names if size == 1 else sorted(names, key=lambda key: (utterances.frames(key), key))
    return [list(keys[start : start + size]) for start in range(0, len(keys), size)]


def decode_as_jobs(args, arguments: Sequence[str]) -> None:
    """Decode in parts, by jobs, and join what they wrote; parts that an earlier attempt finished are kept."""
    from dualmode.decoding.inputs import open_inputs
    from dualmode.decoding.join import join_decodes

    count = run_parts(args, "dualmode.bin.asr_inference", arguments, most=len(open_inputs(args.data)))
    meta = join_decodes([args.out / "parts" / str(index) for index in range(1, count + 1)], args.out)
    meta.pop("asked", None)  # of a part
    meta["command"] = command_line("asr_inference", arguments)
    write_json(args.out / "decode.json", meta)
    shutil.rmtree(args.out / "parts")
    print(f"decoded {meta['utterances']} utterances of {meta['audio_s']:.0f} s by {count} jobs: {args.out / 'text'}")


def main(argv: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if argv is None else list(argv)
    args = get_parser().parse_args(arguments)
    check_options(args)
    from dualmode.data.folder import check_transcripts_folder
    from dualmode.models.folder import ModelFolder

    check_transcripts_folder(args.out, "device.json")
    folder = ModelFolder.open(args.model, args.checkpoint)
    settings, subnet, name = chosen(args, folder)
    if args.cmd:
        decode_as_jobs(args, arguments)
        return
    import torch

    from dualmode.decoding.decoder import Decoder
    from dualmode.decoding.distinct import distinct
    from dualmode.decoding.inputs import open_inputs
    from dualmode.decoding.output import write_nbest
    from dualmode.decoding.parts import fingerprint, is_decoded
    from dualmode.decoding.settings import search_of
    from dualmode.models.placement import find_device, machine_name
    from dualmode.results.provenance import git_commit

    device = find_device(chosen_device(args, settings["device"]))
    search = search_of(settings)
    if settings["threads"]:
        torch.set_num_threads(settings["threads"])
    utterances = open_inputs(args.data, folder.encoder_config.input_size)
    part = Part.parse(args.part) if args.part else Part(1, 1)
    names, out = part.of(sorted(utterances)), args.out / "parts" / str(part.index) if args.part else args.out
    if not names:
        raise UserError(f"--part {args.part}: {args.data} has {len(utterances)} utterances only")
    asked = {}
    if args.part:
        code = [__version__, git_commit(Path(__file__).parent)]
        values = [code, folder.config, settings, name, asdict(subnet)]
        files = [folder.checkpoint, *(folder.path / "tokens").glob("*"), *([Path(search.lm)] if search.lm else [])]
        asked = {"asked": fingerprint(values, utterances, names, files)}
        if is_decoded(out, asked["asked"]):
            print(f"decoded before, from the same files with the same options: {out / 'text'}")
            return
    loaded = folder.load(subnet, args.force)
    loaded.model.to(device)
    decoder = Decoder.of(loaded, search, bf16=settings["precision"] == "bf16")
    check_writable(out)  # not before: what is refused leaves no folder that looks like a decoding

    def text_of(hypothesis: "Hypothesis") -> str:
        return loaded.tokenizer.decode(hypothesis.tokens)

    seconds, frames = 0.0, 0
    nbest: dict[str, list[Hypothesis]] = {}
    batches = make_batches(utterances, names, settings["batch_size"])
    for batch in progress(batches, f"decoding {args.data.name} ({subnet})"):
        features = [utterances[key] for key in batch]
        start = time.perf_counter()
        searches = decoder.searches(features)
        found = [distinct(one.best(None, final=True), text_of, search.nbest) for one in searches]
        seconds += time.perf_counter() - start
        frames += sum(map(len, features))
        nbest |= dict(zip(batch, found, strict=True))

    audio = frames / 100
    write_nbest(out, nbest, loaded.tokenizer)
    write_json(
        out / "decode.json",
        {
            "set": Path(os.path.abspath(args.data)).name,  # of "." as well
            "subnet": name,
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
            "device": machine_name(device),
            "threads": torch.get_num_threads(),
            "batch_size": settings["batch_size"],
            "precision": settings["precision"],
            **asdict(search),
            **({"lm_sha256": sha256_of(Path(search.lm))} if search.lm else {}),
            "checkpoint": str(loaded.checkpoint),
            "seed": loaded.config.get("seed"),
            "command": command_line("asr_inference", arguments),
            **asked,
        },
    )
    print(f"decoded {len(nbest)} utterances of {audio:.0f} s in {seconds:.1f} s as {subnet}: {out / 'text'}")


if __name__ == "__main__":
    run(main)

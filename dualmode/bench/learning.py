"""How fast encoders learn real sentences: error rates over updates, ours against ESPnet's Conformer."""

import argparse
import hashlib
import itertools
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path

import torch
import yaml

from dualmode.bench.learner import OF_FULL_CONTEXT, STARTS, VARIANTS, Plan, learn
from dualmode.bench.learning_rows import check_data, identity, read_rows, summaries
from dualmode.bench.sentences import Sentences, characters
from dualmode.bench.timing import use_device
from dualmode.cli import existing_dir
from dualmode.errors import UserError
from dualmode.models.placement import find_device
from dualmode.progress import Progress

COLUMNS = (
    *("label", "start", "size", "learning_rate", "seeds", "updates"),
    *("cer", "spread", "cer_stream", "cer_train", "seconds"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=existing_dir,
        required=True,
        metavar="DIR",
        help="folder with train and valid, each with feats.scp and text: a recipe's dump, say",
    )
    parser.add_argument(
        "--rows",
        type=Path,
        required=True,
        metavar="FILE",
        help="JSON lines of all measurements; trainings there are kept",
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the curves, each at its best learning rate")
    parser.add_argument(
        "--variants",
        nargs="*",
        choices=VARIANTS,
        default=list(VARIANTS),
        metavar="NAME",
        help=f"what is trained: of {', '.join(VARIANTS)}",
    )
    parser.add_argument("--sizes", nargs="+", default=["144x6"], metavar="SIZE", help="of the encoders: WIDTHxBLOCKS")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], metavar="N", help="a training for each")
    parser.add_argument(
        "--learning-rates",
        nargs="+",
        type=float,
        default=[3e-4, 6e-4, 1.2e-3],
        metavar="RATE",
        help="peaks of OneCycle",
    )
    parser.add_argument("--updates", type=int, default=2000, metavar="N", help="batches")
    parser.add_argument("--every", type=int, default=250, metavar="N", help="updates between two measurements")
    parser.add_argument("--batch-s", type=float, default=30.0, metavar="S", help="seconds of audio in a batch")
    parser.add_argument(
        "--frames-a-token", type=float, default=2.0, metavar="N", help="leave out faster utterances, frames of 40 ms"
    )
    parser.add_argument("--valid-utterances", type=int, default=200, metavar="N", help="of valid that are recognised")
    parser.add_argument(
        "--start",
        choices=STARTS,
        default="zero",
        metavar="NAME",
        help=f"of residual branches and input, or an attention: one of {', '.join(STARTS)}",
    )
    parser.add_argument(
        "--encoder-conf",
        type=yaml.safe_load,
        default={},
        metavar="YAML",
        help="more of our encoder's configuration (default: nothing)",
    )
    parser.add_argument(
        "--flat-start",
        type=int,
        default=0,
        metavar="N",
        help="updates over which CTC takes the place of even alignments",
    )
    parser.add_argument("--label", metavar="TEXT", help="name of the rows (default: the variant's, and -flatN)")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda or cuda:N")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="trainings side by side")


def measure(args: argparse.Namespace) -> list[dict]:
    """Train what is not in the rows' file yet; return the last row of every training there, joined over seeds."""
    for size in args.sizes:
        if not all(part.isdecimal() and int(part) for part in size.split("x")) or size.count("x") != 1:
            raise UserError(f"--sizes {size}: expected WIDTHxBLOCKS, such as 144x6")
    for name in ("updates", "every", "jobs", "valid_utterances"):
        if getattr(args, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} {getattr(args, name)}: expected at least 1")
    if not 0 <= args.flat_start <= args.updates:
        raise UserError(f"--flat-start {args.flat_start}: expected 0 to {args.updates}, the --updates")
    if args.start in OF_FULL_CONTEXT and set(args.variants) != {"dense"}:
        raise UserError(f"--start {args.start}: that attention knows the full context alone; add --variants dense")
    find_device(args.device)  # which is taken by the trainings, each a process of its own
    rows, data = read_rows(args.rows), facts(args)
    check_data(rows, args.rows, data)
    have = {identity(row) for row in rows if row["updates"] == row["plan"]["updates"]}
    plans = [
        (
            args.label or variant + (f"-flat{args.flat_start}" if args.flat_start else ""),
            plan_of(args, variant, size, rate, seed),
        )
        for variant, size, rate, seed in itertools.product(args.variants, args.sizes, args.learning_rates, args.seeds)
    ]
    jobs = [(label, plan) for label, plan in plans if identity({"label": label, "plan": asdict(plan)}) not in have]
    train_all(args, jobs, data)
    rows = read_rows(args.rows)
    if args.picture:
        from dualmode.bench.learning_plot import plot_curves  # matplotlib takes a second to import

        plot_curves(rows, args.picture)
    return summaries(rows)


def facts(args: argparse.Namespace) -> dict:
    """Return what of the data, besides the plans, all trainings of a rows' file must have in common."""
    texts = hashlib.sha256()
    for name in ("train", "valid"):
        path = args.data / name / "text"
        if not path.is_file():
            raise UserError(f"there is no file {path}: --data is a recipe's dump")
        texts.update(path.read_bytes())
    asked = {"frames_a_token": args.frames_a_token, "valid_utterances": args.valid_utterances}
    return {"texts_sha256": texts.hexdigest()[:16], **asked}


def plan_of(args: argparse.Namespace, variant: str, size: str, rate: float, seed: int) -> Plan:
    return Plan(
        variant=variant,
        start=args.start,
        size=size,
        learning_rate=rate,
        seed=seed,
        updates=args.updates,
        every=args.every,
        audio_s=args.batch_s,
        encoder_conf=args.encoder_conf,
        flat_start=args.flat_start,
    )


def train_all(args: argparse.Namespace, jobs: Sequence[tuple[str, Plan]], data: dict) -> None:
    """Run the trainings, several side by side; the rows of each are written once it has ended.

    What ends this early, an interrupt say, ends the trainings that run.
    """
    if not jobs:
        return
    args.rows.parent.mkdir(parents=True, exist_ok=True)
    progress = Progress(len(jobs), "trainings")
    options = (
        args.data,
        args.device,
        args.frames_a_token,
        args.valid_utterances,
        max(torch.get_num_threads() // args.jobs, 1),
    )
    pool = ProcessPoolExecutor(args.jobs, get_context("spawn"), initializer=end_with_parent)
    try:
        for done in as_completed([pool.submit(train_one, label, plan, *options) for label, plan in jobs]):
            with open(args.rows, "a", encoding="utf-8") as out:
                out.writelines(json.dumps(row | data) + "\n" for row in done.result())
            progress.advance()
    except BaseException:
        workers = active_children()
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.terminate()
        raise
    pool.shutdown()
    progress.finish()


def end_with_parent() -> None:
    """Let this process end once its parent has, even by a kill; an interrupt is left to the parent, which ends both."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=watch, daemon=True).start()


def train_one(
    label: str, plan: Plan, data: Path, device: str, frames_a_token: float, valid: int, threads: int
) -> list[dict]:
    """Return all rows of one training; runs in a process of its own."""
    torch.set_num_threads(threads)
    tokenizer = characters(data / "train")
    place = use_device(device)
    heard = Sentences.read(data / "train", tokenizer, place, frames_a_token)
    unheard = Sentences.read(data / "valid", tokenizer, place, frames_a_token).first(valid)
    machine = torch.cuda.get_device_name() if place.type == "cuda" else f"CPU, {threads} threads"
    about = {"label": label, "variant": plan.variant, "seed": plan.seed, "device": machine, "torch": torch.__version__}
    about |= {"train_h": heard.hours, "train_utterances": len(heard.texts), "train_left_out": heard.left_out}
    rows = [about | row | {"plan": asdict(plan)} for row in learn(plan, heard, unheard, len(tokenizer))]
    print(
        f"{label} {plan.size} rate {plan.learning_rate:g} seed {plan.seed}: CER {rows[-1]['cer']:.1f}", file=sys.stderr
    )
    return rows

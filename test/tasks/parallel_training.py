"""Trains a tiny model in several processes over gloo, or in one: what test_parallel compares."""

import dataclasses
import pickle
import time
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.distributed as dist
import torch.nn.functional as F
from espnet2.train.distributed_utils import DistributedOption
from espnet2.train.reporter import Reporter, SubReporter
from espnet2.train.trainer import Trainer
from torch import Tensor
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.nn.parallel import DistributedDataParallel

from dualmode.asr import branch
from dualmode.asr.build import build_asr_model
from dualmode.encoder.padding import valid_frames
from dualmode.encoder.two_branch import BranchWeights, TwoBranchModel
from dualmode.models.weights import STEP_STATE
from dualmode.pretrain import contrastive
from dualmode.pretrain import model as pretraining
from dualmode.pretrain.codes import DEAD_AFTER, CodeUsage
from dualmode.pretrain.config import read_config
from dualmode.pretrain.model import PretrainModel
from dualmode.supernet.masked_linear import prunable
from dualmode.supernet.pruning import PruningSchedule, estimate_masks
from dualmode.tasks import step_checkpoint
from dualmode.tasks.agreement import check_agreement
from dualmode.tasks.asr import AsrTask
from dualmode.tasks.optimise import Updater
from dualmode.tasks.patches.gathered_scalars import gathered_scalars
from dualmode.tasks.patches.own_buffers import keep_buffers
from dualmode.tasks.step_checkpoint import Running
from dualmode.tasks.tally import Tally
from dualmode.tasks.trainer import SupernetTrainer
from dualmode.tasks.update import RunState

TOKENS = ["<blank>", "<unk>", *"abcdef"]
ENCODER = {
    "output_size": 16,
    "num_blocks": 2,
    "attention_heads": 2,
    "linear_units": 32,
    "subsampling_channels": 4,
    "kernel_size": 5,
    "dropout_rate": 0.0,
    "chunk_ms": [160, 320],
    "left_ms": [320],
    "sparsities": [0.4, 0.7],
}
SCHEDULE = {"begin": 2, "end": 12, "interval": 2}
PRETRAINING = {"entries": 8, "target_size": 8, "distractors": 6}
FRAMES, HIDDEN_SHORT = 60, 7  # feature frames; an utterance of 7 is an encoder frame, in which no span fits


def build(kind: str, **encoder) -> TwoBranchModel:
    """Return a recogniser of ``kind`` ctc or rnnt, or the pre-training "pretrain", in float64.

    "ctc in turn" has branches that take turns.
    """
    torch.manual_seed(0)
    branches = BranchWeights(schedule="alternate" if kind.endswith(" in turn") else "both")
    kind = kind.removesuffix(" in turn")
    conf = {"encoder_conf": ENCODER | encoder, "model_conf": {"kind": "ctc" if kind == "pretrain" else kind}}
    model = build_asr_model(conf, TOKENS)
    model.schedule = PruningSchedule(**SCHEDULE)
    if kind == "pretrain":
        model = PretrainModel(model.encoder, read_config(PRETRAINING), model.schedule, branches)
    model.branches = branches
    return anywhere(model)


def anywhere(model: TwoBranchModel) -> TwoBranchModel:
    """Give every layer weights that can be ranked, whatever a fresh one starts with."""
    torch.manual_seed(1)
    for _, layer in prunable(model):
        layer.reset_parameters()
    return model.double()


def give_draws() -> None:
    """Have spans, distractors and codes follow from their inputs, and the RNN-T's loss be of float64."""
    pretraining.span_mask = given_spans
    contrastive.sample_distractors = given_distractors
    F.gumbel_softmax = lambda logits, tau, hard: given_codes(logits / tau)
    branch.rnnt_losses = rnnt_losses


def given_spans(lengths: Tensor, frames: int, *_) -> Tensor:
    """Hide the first third of each utterance, so that batches differ in weight; of a single frame nothing."""
    return valid_frames(lengths.div(3, rounding_mode="floor"), frames)


def given_distractors(utterance: Tensor, count: int) -> Tensor:
    """Return the frames after each, in a circle round its utterance."""
    found = []
    for frame, number in enumerate(utterance.tolist()):
        own = (utterance == number).nonzero()[:, 0]
        place = frame - int(own[0])
        found.append(own[(place + 1 + torch.arange(count) % (len(own) - 1)) % len(own)])
    return torch.stack(found)


def given_codes(logits: Tensor) -> Tensor:
    soft = logits.softmax(dim=-1)
    return F.one_hot(logits.argmax(dim=-1), logits.shape[-1]) - soft.detach() + soft


def rnnt_losses(lattice, frames: Tensor, tokens: Tensor, fastemit: float = 0.0) -> Tensor:
    """Sum over all alignments, node by node."""
    found = []
    for label, blank, steps, rows in zip(lattice.label, lattice.blank, frames.tolist(), tokens.tolist(), strict=True):
        alpha: dict[tuple[int, int], Tensor] = {(0, 0): label.new_zeros(())}
        for t in range(steps):
            for u in range(rows + 1):
                before = [alpha[t - 1, u] + blank[t - 1, u]] if t else []
                before += [alpha[t, u - 1] + label[t, u - 1]] if u else []
                if before:
                    alpha[t, u] = torch.stack(before).logsumexp(dim=0)
        found.append(-(alpha[steps - 1, rows] + blank[steps - 1, rows]))
    return torch.stack(found)


def batches(updates: int, utterances: int) -> list[dict[str, Tensor]]:
    """Return what each of ``updates`` is made of: utterances of different lengths, every fifth time a tiny one."""
    random = torch.Generator().manual_seed(1)
    found = []
    for number in range(updates):
        lengths = torch.randint(40, FRAMES + 1, (utterances,), generator=random)
        lengths[0] = FRAMES
        tokens = torch.randint(1, 4, (utterances,), generator=random)
        if number % 5 == 4:
            lengths[-1], tokens[-1] = HIDDEN_SHORT, 1
        found.append(
            {
                "speech": torch.randn(utterances, FRAMES, 80, generator=random, dtype=torch.float64),
                "speech_lengths": lengths,
                "text": torch.randint(2, 8, (utterances, 4), generator=random),
                "text_lengths": tokens,
            }
        )
    return found


def dealt(batch: dict[str, Tensor], rank: int, world: int, accumulated: int) -> list[tuple[list[str], dict]]:
    """Return one process's batches of an update; they are of different sizes where the numbers do not divide it."""
    parts = [slice(first, None, world * accumulated) for first in range(rank * accumulated, (rank + 1) * accumulated)]
    found = [{name: tensor[part] for name, tensor in batch.items()} for part in parts]
    return [([f"u{number}" for number in range(len(part["speech"]))], part) for part in found]


def train(model: TwoBranchModel, data: list, rank: int, world: int, accumulated: int = 1) -> dict:
    """Train on this process's share of every update; return the gradients of each, the masks and the weights."""
    gradients: list[dict[str, Tensor]] = []
    masks = []

    class Noting(torch.optim.SGD):
        def step(self):
            gradients.append({name: parameter.grad.clone() for name, parameter in model.named_parameters()})
            super().step()

    module = DistributedDataParallel(model) if world > 1 else model
    assert world == 1 or not module.modules_buffers, "buffers would be copied before every forward pass"
    updater = Updater(module, Noting(model.parameters(), lr=0.005), accumulated=accumulated)
    totals, skipped = [], []
    model.train()
    for batch in data:
        total, why = updater.update(dealt(batch, rank, world, accumulated))
        totals.append((total.weight, total.audio_h, total.stats.get("loss", 0.0)))
        skipped.append(why)
        masks.append(torch.cat([layer.masks.flatten() for _, layer in prunable(model)]).clone())
    return {
        "gradients": gradients,
        "masks": masks,
        "weights": {k: v.detach().clone() for k, v in model.named_parameters()},
        "totals": torch.tensor(totals, dtype=torch.float64),
        "skipped": skipped,
        "chosen": model.targets.usage.chosen if isinstance(model, PretrainModel) else torch.zeros(0),
        "step": model.step,
    }


def start(call: bytes) -> None:
    """Run what test_parallel pickled: a function of this module and its arguments."""
    target, arguments = pickle.loads(call)
    target(*arguments)


def process(
    rank: int, world: int, where: Path, out: Path, kind: str, data: list, accumulated: int, encoder: dict, given: bool
):
    """Be one of ``world`` processes; writes out/RANK.pt."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{where}", rank=rank, world_size=world)
    if given:
        give_draws()
    model = build(kind, **encoder)
    keep_buffers(model)
    torch.manual_seed(rank)  # as the trainer does: what must be the same must not come from this generator
    found = train(model, data, rank, world, accumulated)
    check_agreement(model, torch.device("cpu"))
    torch.save(found, out / f"{rank}.pt")
    dist.destroy_process_group()


def disagree(rank: int, world: int, where: Path, out: Path, what: str):
    """Have process 1 differ in ``what``; writes what check_agreement says."""
    dist.init_process_group("gloo", init_method=f"file://{where}", rank=rank, world_size=world)
    model = build("ctc")
    estimate_masks(model, model.encoder.config.pruning)
    if rank == 1:
        if what == "weights":
            next(model.parameters()).data.view(-1)[0] += 1e-12
        elif what == "masks":
            masks = next(layer for _, layer in prunable(model)).masks  # as many weights kept, and others
            assert not torch.equal(masks, masks.flip(-2, -1))
            masks.copy_(masks.flip(-2, -1))
        else:
            model.step += 1
    try:
        check_agreement(model, torch.device("cpu"))
        said = ""
    except Exception as error:
        said = str(error)
    (out / f"{rank}.txt").write_text(said)
    dist.destroy_process_group()


def report(rank: int, world: int, where: Path, out: Path, data: list):
    """Report, as one of two processes, what the other one knows the other half of; writes out/RANK.pt.

    Args:
        data: batches of a validation, of which each process has the utterances ``rank::world``.
    """
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{where}", rank=rank, world_size=world)
    found = {"codes": report_codes(rank), "tally": report_tally(rank), "valid": validate(data, rank, world)}
    found["exchanges"] = count_exchanges(3, rank, world)
    model = build("ctc")
    keep_buffers(model)
    found["spoilt"] = train(model, [spoilt(1)], rank, world)["gradients"][0]
    torch.save(found, out / f"{rank}.pt")
    dist.destroy_process_group()


def stop(rank: int, world: int, where: Path, out: Path):
    """Be told to stop while the first process writes slowly; writes to out/RANK.txt whether the file was there then."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{where}", rank=rank, world_size=world)

    def save_slowly(state: dict, path: Path) -> None:
        time.sleep(1)
        path.touch()

    step_checkpoint.save_checkpoint = save_slowly
    option = DistributedOption(distributed=True, dist_rank=rank, dist_world_size=world)
    options = SimpleNamespace(output_dir=out, best_model_criterion=[], accum_grad=1)
    state = RunState(options, option, SimpleNamespace(told=True))
    state.running = Running(torch.nn.Linear(1, 1), [], [], None, SubReporter("train", 1, 0))
    code = None
    try:
        state.at_stop(1)
    except SystemExit as ended:
        code = ended.code
    (out / f"{rank}.txt").write_text(f"{code} {(out / STEP_STATE).exists()}")
    dist.barrier()
    dist.destroy_process_group()


def spoilt(rank: int) -> dict[str, Tensor]:
    """Return an update of two processes in which that of ``rank`` hears nothing but NaN."""
    (batch,) = batches(1, 4)
    batch["speech"][rank::2] = torch.nan
    return batch


def report_codes(rank: int) -> dict[str, float]:
    """Choose entry ``rank`` of four in every batch, so that two are dead."""
    usage = CodeUsage(groups=1, entries=4).train()
    for _ in range(DEAD_AFTER):
        stats = usage(torch.full((3, 1), rank))
    return {name: float(value) for name, value in stats.items()}


def report_tally(rank: int) -> dict[str, float]:
    """Report a collapsed codebook from process 1, whose batch has a third of the weight of that of process 0."""
    tally = Tally(torch.device("cpu"))
    tally.add({"perplexity0": torch.tensor((9.0, 1.0)[rank])}, torch.tensor((3.0, 1.0)[rank]), frames=100)
    tally.close([], distributed=True)
    return tally.read(torch.tensor(1.0)).stats


def hide_nothing(rank: int, world: int, where: Path, out: Path, data: list):
    """Validate a pre-training; writes the means to out/RANK.pt."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{where}", rank=rank, world_size=world)
    torch.save(validate(data, rank, world, "pretrain"), out / f"{rank}.pt")
    dist.destroy_process_group()


def validate(data: list, rank: int = 0, world: int = 1, kind: str = "ctc") -> dict[str, float]:
    """Return the means of a validation; of a recogniser, error rates are measured on half of each batch."""
    model = build(kind)
    if kind == "ctc":
        torch.nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(2))  # recognises something
        model.config = dataclasses.replace(model.config, decode_share=0.5)
    options = SupernetTrainer.build_options(AsrTask.get_parser().parse_args(["--output_dir", "unused"]))
    batches = [part for batch in data for part in dealt(batch, rank, world, 1)]
    reporter = Reporter()
    with gathered_scalars(model, distributed=world > 1), reporter.observe("valid", 1) as observed:
        Trainer.validate_one_epoch(
            model=model,
            iterator=batches,
            reporter=observed,
            options=options,
            distributed_option=DistributedOption(distributed=world > 1),
        )
    return {key: float(value) for key, value in reporter.stats[1]["valid"].items() if isinstance(value, float)}


def count_exchanges(accumulated: int, rank: int, world: int) -> int:
    """Return how often an update of ``accumulated`` batches exchanges gradients."""
    model, exchanges = build("ctc").train(), []

    def noting(state, bucket):
        exchanges.append(bucket.index())
        return default_hooks.allreduce_hook(state, bucket)

    module = DistributedDataParallel(model)
    module.register_comm_hook(None, noting)
    updater = Updater(module, torch.optim.SGD(model.parameters(), lr=0.005), accumulated=accumulated)
    updater.update(dealt(batches(1, 2 * world * accumulated)[0], rank, world, accumulated))
    return exchanges.count(0)

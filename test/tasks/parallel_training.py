"""Trains a tiny recogniser in several processes over gloo, or in one: what test_parallel compares."""

from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from dualmode.asr.build import build_asr_model
from dualmode.encoder.two_branch import BranchWeights, TwoBranchModel
from dualmode.pretrain.config import read_config
from dualmode.pretrain.model import PretrainModel
from dualmode.supernet.masked_linear import prunable
from dualmode.supernet.pruning import PruningSchedule
from dualmode.tasks.agreement import check_agreement
from dualmode.tasks.patches.own_buffers import keep_buffers

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


def build(kind: str, **encoder) -> TwoBranchModel:
    torch.manual_seed(0)
    conf = {"encoder_conf": ENCODER | encoder, "pruning_conf": SCHEDULE, "model_conf": {"kind": kind}}
    model = build_asr_model(conf, TOKENS)
    model.schedule = PruningSchedule(**SCHEDULE)
    return anywhere(model)


def build_pretraining(**encoder) -> TwoBranchModel:
    torch.manual_seed(0)
    asr = build_asr_model({"encoder_conf": ENCODER | encoder, "model_conf": {"kind": "ctc"}}, TOKENS)
    config = read_config({"targets": "best_rq", "entries": 8, "target_size": 4})
    return anywhere(PretrainModel(asr.encoder, config, PruningSchedule(**SCHEDULE), BranchWeights()))


def anywhere(model: TwoBranchModel) -> TwoBranchModel:
    """Give every layer weights that can be ranked, whatever a fresh one starts with."""
    torch.manual_seed(1)
    for _, layer in prunable(model):
        layer.reset_parameters()
    return model.double()


def batches(updates: int, utterances: int) -> list[dict[str, torch.Tensor]]:
    random = torch.Generator().manual_seed(1)
    return [
        {
            "speech": torch.randn(utterances, 60, 80, generator=random, dtype=torch.float64),
            "speech_lengths": torch.full((utterances,), 60),
            "text": torch.randint(2, 8, (utterances, 4), generator=random),
            "text_lengths": torch.full((utterances,), 4),
        }
        for _ in range(updates)
    ]


def train(model: TwoBranchModel, data: list, rank: int, world: int, accumulated: int = 1) -> dict:
    """Train on this process's share of every batch; return the last gradients, the masks and the weights."""
    module = DistributedDataParallel(model) if world > 1 else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.005)
    gradients: dict[str, torch.Tensor] = {}
    masks = []
    model.train()
    model.accumulated = accumulated
    for number, batch in enumerate(data, start=1):
        model.begins_update = (number - 1) % accumulated == 0
        if world > 1:
            module.require_backward_grad_sync = number % accumulated == 0
        loss, _, _ = module(**{name: tensor[rank::world] for name, tensor in batch.items()})
        (loss / accumulated).backward()
        masks.append(torch.cat([layer.masks.flatten() for _, layer in prunable(model)]).clone())
        if number % accumulated == 0:
            gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
            optimizer.step()
            optimizer.zero_grad()
    return {
        "gradients": gradients,
        "masks": masks,
        "weights": {k: v.detach().clone() for k, v in model.named_parameters()},
    }


def process(rank: int, world: int, where: Path, out: Path, kind: str, updates: int, accumulated: int, encoder: dict):
    """Be one of ``world`` processes; writes out/RANK.pt."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{where}", rank=rank, world_size=world)
    model = build(kind, **encoder)
    keep_buffers(model)
    torch.manual_seed(rank)  # as the trainer does: what must be the same must not come from this generator
    found = train(model, batches(updates, 2 * world), rank, world, accumulated)
    check_agreement(model, torch.device("cpu"))
    torch.save(found, out / f"{rank}.pt")
    dist.destroy_process_group()


def disagree(rank: int, world: int, where: Path, out: Path, what: str):
    """Have process 1 differ in ``what``; writes what check_agreement says."""
    dist.init_process_group("gloo", init_method=f"file://{where}", rank=rank, world_size=world)
    model = build("ctc")
    if rank == 1:
        if what == "weights":
            next(model.parameters()).data.view(-1)[0] += 1e-12
        elif what == "masks":
            next(layer for _, layer in prunable(model)).masks[0, 0, 0] ^= True
        else:
            model.step += 1
    try:
        check_agreement(model, torch.device("cpu"))
        said = ""
    except Exception as error:
        said = str(error)
    (out / f"{rank}.txt").write_text(said)
    dist.destroy_process_group()

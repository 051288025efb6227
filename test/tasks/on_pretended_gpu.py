"""Trains, saves and decodes on the CPU and on a GPU that is not there; prints what both said, as a line of JSON.

A process of its own, since the device stays in torch (:mod:`pretended_gpu`); ``test_pretended_gpu.py`` reads it.
"""

import contextlib
import copy
import io
import json
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from espnet2.train.reporter import SubReporter
from pretended_gpu import NAME, PretendedGpu, register, waits

from dualmode.asr.build import build_asr_model
from dualmode.asr.model import AsrModel
from dualmode.data.tokens import Tokenizer
from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.conformer import DualModeEncoder, give_weights
from dualmode.encoder.two_branch import BranchWeights, TwoBranchModel
from dualmode.pretrain.config import read_config
from dualmode.pretrain.model import PretrainModel
from dualmode.recognizer import Recognizer
from dualmode.search.config import SearchConfig
from dualmode.search.offline import decode_offline
from dualmode.search.searcher import make_searcher
from dualmode.search.stream import decode_streams
from dualmode.supernet.pruning import PruningSchedule, estimate_masks
from dualmode.supernet.subnet import DENSE, Context, Subnet
from dualmode.tasks.agreement import check_agreement
from dualmode.tasks.asr import make_augment
from dualmode.tasks.dry_step import dry_step
from dualmode.tasks.optimise import Updater
from dualmode.tasks.step_checkpoint import Running, load, save

TOKENS = ["<blank>", "<unk>", "<space>", *"abcdefg"]
ENCODER = {"output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 4}
ENCODER |= {"chunk_ms": [160, 320], "left_ms": [320], "dropout_rate": 0.0}
CODES = {"entries": 8, "target_size": 8, "distractors": 5}
RNNT = {"predictor_size": 8, "joiner_size": 8}
BF16 = {"training_precision": "bf16"}
APART = {"backward": "apart"}
UPDATES, ACCUMULATED = 3, 2
SCHEDULE = PruningSchedule(begin=0, end=1, interval=1)  # masks move before all updates but the last


def encoder(conf: dict) -> DualModeEncoder:
    made = DualModeEncoder(EncoderConfig(**{**ENCODER, **conf}))
    give_weights(made)
    return made


def pretraining(conf: dict, encoder_conf: dict = {}, branches: dict = {}) -> TwoBranchModel:  # noqa: B006
    return PretrainModel(
        encoder(encoder_conf),
        read_config(conf if "targets" in conf else CODES | conf),
        SCHEDULE,
        BranchWeights(**branches),
    )


def recogniser(conf: dict, encoder_conf: dict = {}, branches: dict = {}) -> AsrModel:  # noqa: B006
    model = build_asr_model({"model_conf": conf, "branch_conf": branches}, TOKENS, encoder(encoder_conf))
    model.schedule = SCHEDULE
    return model


def augmented() -> AsrModel:
    model = recogniser({})
    conf = {"apply_time_warp": False, "freq_mask_width_range": [0, 5], "time_mask_width_ratio_range": [0.0, 0.05]}
    model.augment = make_augment(conf)
    return model


def rnnt(**more) -> dict:
    return {"kind": "rnnt", "transducer": {**RNNT, **more}}


DISTILLED = {"distill_weight": 0.1, "distill_shift_ms": 80}
TRAININGS: dict[str, Callable[[], TwoBranchModel]] = {
    "contrastive": lambda: pretraining({"visible_weight": 0.5, "feature_penalty": 1.0}),
    "contrastive, bf16, apart": lambda: pretraining({"quantizer_hears": "dense"}, BF16, APART),
    "best_rq, blocks, alternate": lambda: pretraining(
        {"targets": "best_rq", "entries": 8, "target_size": 8, "mask_gap": 1},
        {"granularity": "blocks", "separate_norms": False, "sparsities": [0.5, 0.7]},
        {"schedule": "alternate"},
    ),
    "ctc, flat start, distilled": lambda: recogniser({"flat_start": 10, "label_smoothing": 0.1, **DISTILLED}),
    "ctc, bf16, global, checkpointed": lambda: recogniser(
        DISTILLED,
        BF16
        | {"gradient_checkpointing": True, "layer_drop_rate": 0.5, "lookahead_ms": [40]}
        | {"granularity": "unstructured", "scope": "global"},
        APART,
    ),
    "ctc, augmented": augmented,
    "rnnt, spans, 2:4": lambda: recogniser(
        rnnt(distill_weight=0.1, max_cells=200), {"granularity": "n_of_m", "block": [1, 4], "sparsities": [0.5]}
    ),
    "rnnt alone, bf16, fastemit": lambda: recogniser(rnnt(ctc_weight=0, fastemit=0.1), BF16, APART),
    "ctc, nothing pruned": lambda: recogniser({}, {"sparsities": [0]}),
}


def batch(text: bool) -> dict[str, torch.Tensor]:
    """Return three utterances, as the loader gives them."""
    draws = torch.Generator().manual_seed(3)
    found = {"speech": torch.randn(3, 150, 80, generator=draws), "speech_lengths": torch.tensor([150, 120, 90])}
    if text:
        found |= {"text": torch.tensor([[2, 3, 4], [5, 6, -1], [3, -1, -1]]), "text_lengths": torch.tensor([3, 2, 1])}
    return found


class Set(torch.utils.data.Dataset):
    """The batch's utterances, one by one; a batch of them is the batch itself."""

    def __init__(self, one: dict[str, torch.Tensor]):
        self.one = one

    def __getitem__(self, name: str) -> str:
        return name

    def collate(self, names: list[str]) -> tuple[list[str], dict[str, torch.Tensor]]:
        return names, self.one


def train(model: TwoBranchModel, device: torch.device) -> dict:
    """Return what the last update and a validation said, and where the last update waited."""
    names, text = ["a", "b", "c"], not isinstance(model, PretrainModel)
    model = copy.deepcopy(model).train().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=device.type != "cpu")
    updater = Updater(model, optimizer, accumulated=ACCUMULATED, clip=5.0, device=device)
    one = Set(batch(text))
    loader = torch.utils.data.DataLoader(one, batch_sampler=[names], collate_fn=one.collate)
    dry_step(model, optimizer, loader, dict(zip(names, (150, 120, 90), strict=True)), device, 450, accumulated=2)
    torch.manual_seed(1)
    for _ in range(UPDATES):
        waits.clear()
        totals, skipped = updater.update([(names, batch(text))] * ACCUMULATED, lambda: (False, True))
        assert skipped is None
    found = {"waits": dict(waits), "update": totals.stats | {"norm": totals.grad_norm}}
    check_agreement(model, device)
    running = Running(model, [optimizer], [None], None, SubReporter("train", 1, 0))
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder), running, 2, 6, 0, 1)
        before = [weight.detach().cpu().clone() for weight in model.parameters()]
        updater.update([(names, batch(text))] * ACCUMULATED)
        running.restore(load(Path(folder), 1, 6, 1, 1))
    assert all(torch.equal(old, new.detach().cpu()) for old, new in zip(before, model.parameters(), strict=True))
    with torch.no_grad():
        _, stats, _ = model.eval()(**{name: value.to(device) for name, value in batch(text).items()})
    return found | {"valid": {name: value.item() for name, value in stats.items()}}


def decode(model: AsrModel, device: torch.device) -> list:
    """Return the tokens and frames of some utterances, whole and as streams, by both searches, and texts."""
    model, found = copy.deepcopy(model).eval().to(device), []
    heard = [batch(False)["speech"][number, :frames].numpy() for number, frames in enumerate((150, 120, 90))]
    tokenizer = Tokenizer("char", TOKENS)
    for config in (SearchConfig(), SearchConfig(beam_size=4, nbest=2)):
        searcher = make_searcher(model, tokenizer, config)
        for subnet in (DENSE, Subnet(0.7, Context(4, 8)), Subnet(0.7, Context(4, 8, 2))):
            searches = decode_offline(model, heard, subnet, searcher)
            if subnet.context.chunk is not None:
                searches += decode_streams(model, heard, subnet, searcher)
            found += [[(h.tokens, h.frames) for h in one.best(config.nbest, final=True)] for one in searches]
    recognizer = Recognizer(model, tokenizer, Subnet(0.7, Context(4, 8)), second_pass=True)
    for piece in torch.randn(16000, generator=torch.Generator().manual_seed(0)).mul(0.1).clamp(-1, 1).split(4000):
        recognizer.accept_waveform(piece.numpy(), 16000)
    result = recognizer.result()
    return [*found, result.first_pass.text, result.second_pass.text]


def both(run: Callable, model: TwoBranchModel) -> dict:
    """Return what ``run`` says of both devices; an error is what it says, too."""
    found = {}
    for device in (torch.device("cpu"), torch.device(NAME, 0)):
        with PretendedGpu() if device.type == NAME else contextlib.nullcontext():
            try:
                found[device.type] = run(model, device)
            except Exception as error:  # noqa: BLE001  # of any kind: the test says which
                found[device.type] = f"{type(error).__name__}: {error}"
    return found


def refused() -> dict[str, str | None]:
    """Return what is said to each mistake that would be one on a GPU; None where nothing is."""
    there, here = torch.ones(3, device=torch.device(NAME, 0)), torch.ones(3)
    mistakes = {
        "mixed": lambda: there + here,
        "index": lambda: there[torch.tensor([0])].add_(here[:1]),
        "generator": lambda: torch.rand(2, device=there.device, generator=torch.Generator()),
        "collective": lambda: torch.distributed.all_reduce(here),
        "numbers": lambda: there * here.sum(),
    }
    found: dict[str, str | None] = {}
    for name, mistake in mistakes.items():
        try:
            mistake()
            found[name] = None
        except RuntimeError as error:
            found[name] = str(error)
    return found


def main() -> None:
    register()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Alone, so that what processes exchange is exchanged, and looked at.
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=0, world_size=1)
    found: dict[str, dict] = {"train": {}, "decode": {}}
    with contextlib.redirect_stdout(io.StringIO()):
        for name, make in TRAININGS.items():
            torch.manual_seed(0)
            found["train"][name] = both(train, make())
        for kind, conf in (("ctc", {}), ("rnnt", rnnt())):
            torch.manual_seed(0)
            model = recogniser(conf)
            estimate_masks(model.encoder, model.encoder.config.pruning)
            found["decode"][kind] = both(decode, model)
        with PretendedGpu():
            found["refused"] = refused()
    torch.distributed.destroy_process_group()
    print(json.dumps(found))


if __name__ == "__main__":
    main()

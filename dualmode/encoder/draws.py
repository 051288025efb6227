"""What training draws and how it computes; to a trained model, only the contexts that it was trained for matter."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch

from dualmode.errors import UserError
from dualmode.supernet.subnet import Context

WHERE = "encoder_conf"
PRECISIONS = ("fp32", "bf16")
MOST_DROPPED = 0.99


@dataclass(frozen=True)
class TrainingDraws:
    """Contexts that the streaming branch is trained with, and what a training may do about the blocks.

    Two trainings of one model may differ in all of these.

    Args:
        dropout_rate: dropout after every module and inside the feed-forward modules.
        layer_drop_rate: share of the blocks that a branch of an update skips (Fan et al. 2020).
        gradient_checkpointing: keep only the blocks' inputs for the backward pass and compute the rest again: less
            memory, about a third more time.
        compile_blocks: whether training on a GPU compiles the blocks (torch.compile): about a third less time for the
            large sizes, after a minute at the start and another when masks first change what is kept.
        training_precision: "fp32", or "bf16" for matrix products of the training in bfloat16, on a device that is fast
            at it; weights, norms, losses, and everything outside the training stay in float32.
        chunk_ms: chunks that the streaming branch is trained with, one drawn for each update; validation uses the
            first.  None in the list is the full context.
        left_ms, lookahead_ms: left contexts and look-aheads past the chunk, drawn with them.
    """

    dropout_rate: float = 0.1
    layer_drop_rate: float = 0.0
    gradient_checkpointing: bool = False
    compile_blocks: bool = False
    training_precision: str = "fp32"
    chunk_ms: Sequence[float | None] = (640,)
    left_ms: Sequence[float] = (1280,)
    lookahead_ms: Sequence[float] = (0,)

    def check_draws(self) -> None:
        """Raise UserError for the first setting that is impossible, named."""
        for name in ("dropout_rate", "layer_drop_rate"):
            if not 0.0 <= getattr(self, name) <= MOST_DROPPED:
                raise UserError(f"{WHERE}: {name} is {getattr(self, name)}: it must be from 0 to {MOST_DROPPED}")
        if self.training_precision not in PRECISIONS:
            raise UserError(f"{WHERE}: training_precision is {self.training_precision!r}: it must be fp32 or bf16")
        for name in ("gradient_checkpointing", "compile_blocks"):
            if not isinstance(getattr(self, name), bool):
                raise UserError(f"{WHERE}: {name} is {getattr(self, name)!r}: it must be true or false")
        for name in ("chunk_ms", "left_ms", "lookahead_ms"):
            object.__setattr__(self, name, as_tuple(name, getattr(self, name)))
        if self.chunk_ms[0] is None:
            raise UserError(f"{WHERE}: chunk_ms begins with null: the first one is the streaming context of validation")
        for name in ("left_ms", "lookahead_ms"):
            if None in getattr(self, name):
                raise UserError(f"{WHERE}: {name} lists numbers of ms, not null")
        try:
            self.contexts  # builds every one, which checks it  # noqa: B018
        except UserError as error:
            raise UserError(f"{WHERE}: chunk_ms, left_ms and lookahead_ms: {error}") from None

    @property
    def contexts(self) -> list[Context]:
        """Every context that the streaming branch is trained with; the first is that of validation."""
        chunked = [
            Context.from_ms(chunk, left, lookahead)
            for chunk in self.chunk_ms
            if chunk is not None
            for left in self.left_ms
            for lookahead in self.lookahead_ms
        ]
        return chunked + [Context()] * (None in self.chunk_ms)

    def sample_context(self, generator: torch.Generator | None = None) -> Context:
        """Draw each entry of ``chunk_ms`` equally often, and each left context and look-ahead with it."""
        chunk = draw(self.chunk_ms, generator)
        if chunk is None:
            return Context()
        return Context.from_ms(chunk, draw(self.left_ms, generator), draw(self.lookahead_ms, generator))


# What two trainings of one model may differ in; of these, what the next training does not take over unless it says so.
TRAINING_ONLY = tuple(field.name for field in fields(TrainingDraws))
OWN = ("dropout_rate", "layer_drop_rate", "gradient_checkpointing", "compile_blocks", "training_precision")


def as_tuple(name: str, value) -> tuple:
    """Return a list of the configuration as a tuple; anything but a list of at least one entry is a UserError."""
    if isinstance(value, (str, int, float)) or not value:
        raise UserError(f"{WHERE}: {name} is {value!r}: it must be a list of at least one number")
    return tuple(value)


def draw(values: Sequence, generator: torch.Generator | None = None):
    """Return one of ``values``, each equally likely, by torch's generator or another; of one value nothing is drawn."""
    return values[int(torch.randint(len(values), (), generator=generator))] if len(values) > 1 else values[0]

"""Tiny recognisers with random weights in which every token is the best one somewhere."""

import functools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from dualmode.asr.build import build_recogniser
from dualmode.asr.model import Recogniser
from dualmode.data.tokens import Tokenizer
from dualmode.supernet.pruning import estimate_masks
from dualmode.supernet.subnet import Context, Subnet

TOKENS = ["<blank>", "<unk>", "<space>", *"abcdefg"]
ENCODER = {"output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 4}
ENCODER |= {"chunk_ms": [160, 320], "left_ms": [320]}


def draw_features(frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((frames, 80)).astype(np.float32)


def config(kind: str) -> dict:
    return {"encoder_conf": ENCODER, "model_conf": {"kind": kind}}


@functools.cache
def tiny(kind: str) -> Recogniser:
    torch.manual_seed(0)
    model = build_recogniser(config(kind), TOKENS).eval()
    estimate_masks(model, model.encoder.config.pruning)
    subnet = Subnet(0.7, Context(4, 8))
    with torch.inference_mode():
        encoded, _ = model.encoder(torch.as_tensor(draw_features(260))[None], torch.tensor([260]), subnet)
        if model.head is not None:
            spread(model.head, encoded[0])
        if kind == "rnnt":
            model.joiner.encoder.weight.div_(model.joiner.encoder(encoded[0]).std(dim=0)[:, None])
            hidden = torch.tanh(model.joiner.encoder(encoded[0]) + model.joiner.predictor(model.predictor.start(1)[0]))
            spread(model.joiner.output, hidden)
            model.joiner.output.bias[0] += 3.0  # not three tokens in every frame
    return model


def spread(layer: torch.nn.Linear, x: torch.Tensor) -> None:
    """Make the outputs of ``layer`` on x (n, d) vary by 2 around 0."""
    layer.weight.div_(layer(x).std(dim=0)[:, None] / 2)
    layer.bias.copy_(-layer.weight @ x.mean(dim=0))


@pytest.fixture(scope="session")
def features() -> Callable[..., np.ndarray]:
    """Draws features: ``features(frames, seed)`` is (frames, 80)."""
    return draw_features


@pytest.fixture(scope="session", params=["ctc", "rnnt"])
def model(request) -> Recogniser:
    """A tiny recogniser; do not change it."""
    return tiny(request.param)


@pytest.fixture(scope="session")
def ctc_model() -> Recogniser:
    return tiny("ctc")


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer("char", TOKENS)


@pytest.fixture(scope="session")
def model_dir(model, tmp_path_factory) -> Path:
    """The same as a model folder."""
    folder = tmp_path_factory.mktemp(model.kind)
    (folder / "tokens").mkdir()
    (folder / "tokens/tokens.txt").write_text("".join(f"{token}\n" for token in TOKENS))
    (folder / "tokens/tokens.json").write_text(json.dumps({"type": "char"}))
    (folder / "config.yaml").write_text(yaml.safe_dump({**config(model.kind), "seed": 0}))
    torch.save(model.state_dict(), folder / "model.pth")
    return folder

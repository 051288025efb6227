"""What tests in several folders share: tiny recognisers with random weights in which every token is the best one
somewhere, and model folders."""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dualmode.asr.build import build_asr_model
from dualmode.asr.model import AsrModel
from dualmode.data.fbank import fbank
from dualmode.data.tokens import Tokenizer
from dualmode.encoder import conformer
from dualmode.supernet.pruning import estimate_masks
from dualmode.supernet.subnet import Context, Subnet


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also the tests marked slow, which .ci/run asks for")


# How tests are shared out among processes (test/run.sh): a file's stay together, for what they share; those of these
# folders too, for the sake of a cluster or of exported models; of this file each may go alone, and those come first.
TOGETHER = ("cluster", "export", "device", "runtime", "server")
ALONE = "test_how_to.py"


def scope(nodeid: str) -> str:
    """Return what the tests that one process runs have in common."""
    path = Path(nodeid.partition("::")[0])
    if path.name == ALONE:
        return nodeid
    return str(next((folder for folder in path.parents if folder.name in TOGETHER), path))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = scope
    return scheduler


def pytest_collection_modifyitems(config, items):
    items.sort(key=lambda item: item.path.name != ALONE)
    for item in items:
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="slow: bash test/run.sh --slow"))


# A fresh encoder's blocks pass on what they are given, and nothing could be wrong with them: tests build encoders as
# training leaves them, with weights everywhere.  The fixture ``fresh_start`` is for tests of the start itself.
START_AS_IDENTITY, conformer.start_as_identity = conformer.start_as_identity, lambda block: None


@pytest.fixture
def fresh_start(monkeypatch):
    monkeypatch.setattr(conformer, "start_as_identity", START_AS_IDENTITY)


TOKENS = ["<blank>", "<unk>", "<space>", *"abcdefg"]
ENCODER = {"output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 4}
RANGES = ((-3.0, -0.5), (0.0, 1.0))  # of log10 loudness and of the share of high frequencies
ENCODER |= {"chunk_ms": [160, 320], "left_ms": [320], "granularity": "blocks"}


def draw_samples(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise whose loudness and pitch change every 100 ms, so that many tokens are heard in it."""
    random = np.random.default_rng(seed)
    count = int(seconds * 16000)
    loudness, mix = (np.repeat(random.uniform(low, high, count // 1600 + 1), 1600)[:count] for low, high in RANGES)
    noise = random.standard_normal(count)
    high = np.diff(noise, prepend=0.0)
    return (10**loudness * (mix * high + (1 - mix) * noise)).clip(-1, 1).astype(np.float32)


def draw_features(frames: int, seed: int = 0) -> np.ndarray:
    return fbank(draw_samples(frames / 100 + 0.1, seed))[:frames]


def config(kind: str) -> dict:
    return {"encoder_conf": ENCODER, "model_conf": {"kind": kind}}


@functools.cache
def tiny(kind: str) -> AsrModel:
    torch.manual_seed(0)
    model = build_asr_model(config(kind), TOKENS).eval()
    estimate_masks(model, model.encoder.config.pruning)
    subnet = Subnet(0.7, Context(4, 8))
    x = torch.tensor(draw_features(1000))
    with torch.inference_mode():
        model.encoder.normalize.mean.copy_(x.mean(dim=0))
        model.encoder.normalize.std.copy_(x.std(dim=0))
        encoded, _ = model.encoder(x[None], torch.tensor([len(x)]), subnet)
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


@pytest.fixture(scope="session")
def noise() -> Callable[..., np.ndarray]:
    """Draws audio: ``noise(seconds, seed)`` is (samples,)."""
    return draw_samples


@pytest.fixture(scope="session", params=["ctc", "rnnt"])
def model(request) -> AsrModel:
    """A tiny recogniser; do not change it."""
    return tiny(request.param)


@pytest.fixture(scope="session")
def ctc_model() -> AsrModel:
    return tiny("ctc")


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer("char", TOKENS)


@pytest.fixture(scope="session")
def model_dir(model, tmp_path_factory, save_model) -> Path:
    """The same as a model folder."""
    folder = tmp_path_factory.mktemp(model.kind) / "model"
    return save_model(folder, {**config(model.kind), "seed": 0}, TOKENS, model)


@pytest.fixture(scope="session")
def ctc_dir(ctc_model, tmp_path_factory, save_model) -> Path:
    """A model folder of the CTC recogniser."""
    return save_model(tmp_path_factory.mktemp("ctc_alone") / "model", {**config("ctc"), "seed": 0}, TOKENS, ctc_model)


@pytest.fixture(scope="session")
def save_model():
    """Return a function that writes a model folder as a fine-tuning leaves it, and returns the folder."""
    import torch
    import yaml

    def save(folder, conf, tokens, model):
        (folder / "tokens").mkdir(parents=True)
        (folder / "config.yaml").write_text(yaml.safe_dump(conf))
        (folder / "tokens/tokens.txt").write_text("\n".join(tokens) + "\n")
        (folder / "tokens/tokens.json").write_text('{"type": "char"}')
        torch.save(model.state_dict(), folder / "latest.pth")
        return folder

    return save

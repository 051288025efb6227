"""Tiny recognisers of random weights in model folders, exported once."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from dualmode.asr.build import build_asr_model
from dualmode.asr.model import AsrModel
from dualmode.data.fbank import fbank
from dualmode.frames import SAMPLE_RATE
from dualmode.models.folder import ModelFolder
from dualmode.models.loaded import LoadedModel
from dualmode.supernet.pruning import estimate_masks
from dualmode.supernet.subnet import Context, Subnet

TOKENS = ["<blank>", "<unk>", "<space>", *"abcdefg"]
SUBNET = Subnet(0.5, Context(4, 6))
# The value width of a head, the cache of the convolution and the left context are all different, so that no two axes
# can be taken for each other unnoticed.
ENCODER = {
    "output_size": 16,
    "num_blocks": 2,
    "attention_heads": 2,
    "head_size": 6,
    "linear_units": 24,
    "convolution_channels": 20,
    "kernel_size": 7,
    "subsampling_channels": 4,
    "sparsities": [0.5],
    "granularity": "unstructured",
    "chunk_ms": [160],
    "left_ms": [240],
}
TRANSDUCER = {"kind": "rnnt", "transducer": {"predictor_size": 12, "joiner_size": 14, "context": 3, "ctc_weight": 0.0}}


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise in bursts, (samples,) at 16 kHz: no silence, and never the same spectrum twice."""
    random = np.random.default_rng(seed)
    samples = random.standard_normal(int(seconds * SAMPLE_RATE)).astype(np.float32)
    pitch = np.sin(np.cumsum(random.uniform(0.01, 1.0, len(samples) // 800 + 1).repeat(800)[: len(samples)]))
    return (0.05 * samples + 0.3 * pitch).astype(np.float32)


def diverse(conf: dict) -> AsrModel:
    """Return a recogniser whose every token is the best one somewhere."""
    torch.manual_seed(1)
    model = build_asr_model(conf, TOKENS).eval()
    features = torch.from_numpy(fbank(speech(8.0, seed=9)))
    estimate_masks(model, model.encoder.config.pruning)
    with torch.inference_mode():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "norm" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
        model.encoder.normalize.mean.copy_(features.mean(dim=0))
        model.encoder.normalize.std.copy_(features.std(dim=0))
        encoded, _ = model.encoder(features[None], torch.tensor([len(features)]), SUBNET)
        if model.head is not None:
            spread_out(model.head, encoded[0])
        else:
            spread_out(model.joiner.encoder, encoded[0])
            spread_out(model.joiner.output, torch.tanh(2 * torch.randn(1000, model.joiner.output.in_features)))
    return model


def spread_out(linear: torch.nn.Linear, x: torch.Tensor) -> None:
    """Give each output of ``linear`` mean 0 and deviation 2 over x (n, inputs)."""
    linear.weight.div_(linear(x).std(dim=0)[:, None] / 2)
    linear.bias.copy_(-linear.weight @ x.mean(dim=0))


@pytest.fixture(scope="session")
def folders(tmp_path_factory, save_model) -> dict[str, Path]:
    """A model folder for each kind."""
    made = {}
    for kind, heads in (("ctc", {}), ("rnnt", TRANSDUCER)):
        conf = {"encoder_conf": ENCODER, "model_conf": heads}
        made[kind] = save_model(tmp_path_factory.mktemp(kind) / "model", conf, TOKENS, diverse(conf))
    return made


@pytest.fixture(scope="session")
def recognisers(folders) -> dict[str, LoadedModel]:
    return {kind: ModelFolder.open(folder).load(SUBNET) for kind, folder in folders.items()}


@pytest.fixture(scope="session")
def exported(recognisers, tmp_path_factory) -> Callable[[str], Path]:
    """``exported("ctc")`` is the folder of that kind for sherpa-onnx, with int8."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed (the extra export)")
    from dualmode.export.sherpa import export

    done: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in done:
            out = tmp_path_factory.mktemp("export") / kind
            export(recognisers[kind], out, int8=True)
            done[kind] = out
        return done[kind]

    return make


@pytest.fixture(scope="session")
def wavs(tmp_path_factory) -> list[Path]:
    """Audio that ends within a chunk, with its end, and before the first one is full."""
    folder = tmp_path_factory.mktemp("audio")
    paths = []
    for number, seconds in enumerate((2.0, 3.21, 0.1)):
        paths.append(folder / f"{number}.wav")
        soundfile.write(paths[-1], speech(seconds, seed=number), SAMPLE_RATE, subtype="FLOAT")
    return paths


@pytest.fixture(scope="session")
def audio() -> Callable[..., np.ndarray]:
    """``audio(seconds, seed)`` is (samples,) at 16 kHz."""
    return speech

import ctypes
import functools
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from dualmode.asr.build import build_asr_model
from dualmode.asr.model import AsrModel
from dualmode.device.build_wasm import WASM, WASM_MODULE, compile_wasm, wasm_is_current
from dualmode.search.searcher import greedy_searcher
from dualmode.search.stream import decode_streams
from dualmode.supernet.pruning import estimate_masks
from dualmode.supernet.storage import materialise
from dualmode.supernet.subnet import Context, Subnet
from dualmode_runtime.build import LIBRARY, PROGRAM, NoCompiler, compile_engine
from dualmode_runtime.engine import load_library

TOKENS = ["<blank>", "<unk>", "<space>", *"abcdefg"]
CONTEXT = Context(5, 8)


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Path:
    """The folder of the engine, compiled from the sources as they are, with warnings as errors."""
    folder = tmp_path_factory.mktemp("engine")
    try:
        compile_engine(folder, ["-O2", "-Wall", "-Wextra", "-Werror"])
    except NoCompiler as error:
        if "no C++17 compiler" in str(error):
            pytest.skip(str(error))
        raise
    return folder


@pytest.fixture(scope="session")
def library(built) -> ctypes.CDLL:
    return load_library(built / LIBRARY)


@pytest.fixture(scope="session")
def program(built) -> Callable[..., subprocess.CompletedProcess]:
    """Runs dualmode-device with arguments."""

    def run(*arguments) -> subprocess.CompletedProcess:
        return subprocess.run([built / PROGRAM, *map(os.fspath, arguments)], capture_output=True, text=True)

    return run


@pytest.fixture(scope="session")
def module(tmp_path_factory) -> Path:
    """The committed module, or, where the sources have changed since, one that is compiled now."""
    if shutil.which("node") is None:
        pytest.skip("there is no node: apt install nodejs")
    if wasm_is_current():
        return WASM / WASM_MODULE
    folder = tmp_path_factory.mktemp("wasm")
    try:
        compile_wasm(folder)
    except NoCompiler as error:
        pytest.skip(f"the committed module was compiled from other sources, and {error}")
    return folder / WASM_MODULE


@pytest.fixture(scope="session")
def call(module) -> Iterator[Callable]:
    """Calls a function of wasm_calls.mjs: call(name, key=value...)."""
    command = ["node", Path(__file__).with_name("wasm_calls.mjs"), WASM, module]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask(name, **given):
            process.stdin.write(json.dumps({"call": name, **given}) + "\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            if "error" in answer:
                raise RuntimeError(answer["error"])
            return answer.get("result")

        yield ask
        process.stdin.close()


def draw_features(frames: int, seed: int = 0) -> np.ndarray:
    return 3 * np.random.default_rng(seed).standard_normal((frames, 80)).astype(np.float32) - 8


@functools.cache
def tiny(sparsity: float = 0.7, block=(8, 4), context=0, sizes=()) -> tuple[AsrModel, Subnet]:
    """A tiny recogniser with its masks multiplied in, in which every token is the best one somewhere."""
    torch.manual_seed(0)
    conf = {"output_size": 32, "num_blocks": 2, "attention_heads": 2, "linear_units": 48, "subsampling_channels": 4}
    conf |= {"kernel_size": 5, "block": block, **dict(sizes)}
    rnnt = {"kind": "rnnt", "transducer": {"context": context, "predictor_size": 12, "joiner_size": 20}}
    model = build_asr_model({"encoder_conf": conf, "model_conf": rnnt if context else {}}, TOKENS).eval()
    config = model.encoder.config
    estimate_masks(model, config.pruning)
    with torch.inference_mode():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "norm" in name:  # nothing may be left out unnoticed
                parameter.add_(0.1 * torch.randn_like(parameter))
        model.encoder.normalize.mean.add_(torch.randn(80) - 8)
        model.encoder.normalize.std.mul_(1 + torch.rand(80))
        materialise(model, config.view(sparsity))
        x = torch.as_tensor(draw_features(260))[None]
        encoded, _ = model.encoder(x, torch.tensor([260]), Subnet(0.0, CONTEXT))
        head = model.joiner.encoder if context else model.head
        head.weight.div_(head(encoded[0]).std(dim=0)[:, None])
        head.bias.copy_(-head.weight @ encoded[0].mean(dim=0))
        if context:
            model.joiner.output.weight.mul_(4)
    return model, Subnet(sparsity, CONTEXT)


@pytest.fixture(scope="session")
def features() -> Callable[..., np.ndarray]:
    """Draws features: ``features(frames, seed)`` is (frames, 80)."""
    return draw_features


@pytest.fixture(scope="session")
def model() -> Callable[..., tuple[AsrModel, Subnet]]:
    """Makes a tiny recogniser: ``model(sparsity, block, context, **sizes)``; do not change it.

    With a ``context`` it is an RNN-T whose predictor sees that many tokens.
    """
    return lambda sparsity=0.7, block=(8, 4), context=0, **sizes: tiny(
        sparsity, block, context, tuple(sorted(sizes.items()))
    )


@pytest.fixture(scope="session")
def streamed_tokens() -> Callable[[AsrModel, np.ndarray, Subnet], list[int]]:
    """Decodes features (frames, bins) greedily, chunk by chunk, in PyTorch."""
    return lambda model, x, subnet: decode_streams(model, [x], subnet, greedy_searcher(model))[0].settled

"""Streams side by side give what the masked parallel pass gives."""

import numpy as np
import pytest
import torch

from dualmode.asr.build import build_recogniser
from dualmode.data.tokens import Tokenizer
from dualmode.decoding.batch import search_offline, search_streams
from dualmode.decoding.search import SearchConfig, search_factory
from dualmode.errors import UserError
from dualmode.supernet.pruning import estimate_masks
from dualmode.supernet.subnet import Context, Subnet

TOKENS = ["<blank>", "<unk>", "<space>", *"abcdefg"]
SUBNET = Subnet(0.7, Context(4, 8))
UTTERANCES = [
    np.random.default_rng(n).standard_normal((n, 80)).astype(np.float32)
    for n in (0, 1, 7, 30, 31, 60, 90, 91, 100, 120, 121, 140, 150, 160, 170, 180)
]


@pytest.fixture(scope="module", params=["ctc", "rnnt"])
def model(request):
    torch.manual_seed(0)
    conf = {"output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 4}
    model = build_recogniser({"encoder_conf": conf, "model_conf": {"kind": request.param}}, TOKENS).eval()
    estimate_masks(model, model.encoder.config.sparsities, model.encoder.config.block)
    with torch.no_grad():
        for layer in (model.head, model.joiner and model.joiner.output):
            if layer is not None:
                layer.weight.mul_(8)  # peaky
    return model


@pytest.mark.parametrize("config", [SearchConfig(), SearchConfig("beam", 4, 3)])
@pytest.mark.parametrize("size", [1, 16])
def test_streams_equal_the_parallel_pass(model, config, size):
    make = search_factory(model, Tokenizer("char", TOKENS), config)
    for start in range(0, len(UTTERANCES), size):
        batch = UTTERANCES[start : start + size]
        streamed = [search.best(3, final=True) for search in search_streams(model, batch, SUBNET, make)]
        for utterance, found in zip(batch, streamed, strict=True):
            [whole] = search_offline(model, [utterance], SUBNET, make)
            expected = whole.best(3, final=True)
            assert [(h.tokens, h.frames) for h in found] == [(h.tokens, h.frames) for h in expected]


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"method": "best"}, "greedy or beam"), ({"nbest": 2}, "need method beam"), ({"beam_size": 0}, "at least 1")],
)
def test_impossible_settings_are_one_sentence(settings, words):
    with pytest.raises(UserError, match=words):
        SearchConfig(**settings)

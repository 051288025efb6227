"""Decoding keeps to the device of its model.

Under ``torch.device("meta")`` whatever is made without naming a device is a tensor without values: it cannot be mixed
with real ones, nor read.  So a decoding that ends with the same tokens has placed every tensor on purpose.
"""

import copy

import numpy as np
import pytest
import torch

from dualmode.bin.asr_inference import main as asr_inference
from dualmode.errors import UserError
from dualmode.recognizer import Recognizer
from dualmode.search.config import SearchConfig
from dualmode.search.offline import decode_offline
from dualmode.search.searcher import make_searcher
from dualmode.search.stream import decode_streams
from dualmode.supernet.subnet import Context, Subnet

SEARCHES = [SearchConfig(), SearchConfig(beam_size=4, nbest=2)]
SUBNETS = [Subnet(), Subnet(0.7, Context(4, 8)), Subnet(0.7, Context(4, 8, 2))]
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")


def decode(model, tokenizer, features, config, subnet):
    """Decode some utterances, as streams too where there are chunks; return their tokens and frames."""
    searcher, batch = make_searcher(model, tokenizer, config), [features(n, seed=n) for n in (90, 130, 33)]
    searches = decode_offline(model, batch, subnet, searcher)
    if subnet.context.chunk is not None:
        searches += decode_streams(model, batch, subnet, searcher)
    return [[(h.tokens, h.frames) for h in search.best(config.nbest, final=True)] for search in searches]


@pytest.mark.parametrize("subnet", SUBNETS, ids=str)
@pytest.mark.parametrize("config", SEARCHES, ids=["greedy", "beam"])
def test_every_tensor_is_made_on_a_named_device(model, tokenizer, features, config, subnet):
    expected = decode(model, tokenizer, features, config, subnet)
    with torch.device("meta"):
        assert torch.zeros(1).is_meta
        assert decode(model, tokenizer, features, config, subnet) == expected


@pytest.mark.parametrize("config", SEARCHES, ids=["greedy", "beam"])
def test_searches_of_a_batch_share_the_calls_of_the_networks(model, tokenizer, features, config):
    if model.kind != "rnnt":
        pytest.skip("the search of CTC calls no network")
    searcher, calls = make_searcher(model, tokenizer, config), []
    hook = model.joiner.register_forward_hook(lambda *_: calls.append(1))
    encoded = []
    for n in (90, 130, 33, 70):
        frames, _ = model.encoder(torch.tensor(features(n, seed=n))[None], torch.tensor([n]), SUBNETS[1])
        encoded.append(searcher.inputs(frames[0].detach()))
    counts, found = [], []
    for inputs in (*([x] for x in encoded), encoded):
        searches = [searcher.start() for _ in inputs]
        calls.clear()
        searcher.accept(searches, inputs)
        counts.append(len(calls))
        found += [search.best(config.nbest, final=True) for search in searches]
    hook.remove()
    assert counts[-1] == max(counts[:-1]) < sum(counts[:-1])
    assert any(one[0].tokens for one in found)
    for alone, together in zip(found[:4], found[4:], strict=True):
        assert [(h.tokens, h.frames) for h in alone] == [(h.tokens, h.frames) for h in together]
        assert alone[0].score == pytest.approx(together[0].score, abs=1e-4)


def test_a_recognizer_places_every_tensor(model_dir, noise):
    samples, texts = noise(2), []
    for place in ("cpu", "meta"):
        recognizer = Recognizer.from_pretrained(model_dir, second_pass=True, device="cpu")
        with torch.device(place):
            for piece in np.array_split(samples, 7):
                recognizer.accept_waveform(piece, 16000)
            result = recognizer.result()
        texts.append((result.first_pass.text, result.second_pass.text))
    assert texts[0] == texts[1] and any(texts[0])


def test_a_missing_gpu_is_said_before_work(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UserError, match="PyTorch sees 0 GPUs"):
        Recognizer.from_pretrained(tmp_path / "gone", device="cuda")
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    (tmp_path / "decode.yaml").write_text("device: cuda\n")
    options = ["--config", tmp_path / "decode.yaml", "--model", tmp_path, "--data", tmp_path, "--out", tmp_path / "out"]
    for more in ([], ["--ngpu", "1"], ["--device", "cuda:0"]):
        with pytest.raises(UserError, match="PyTorch sees 0 GPUs"):
            asr_inference([*map(str, options), *more])
    with pytest.raises(UserError, match="neither feats.scp"):  # the option wins, and the data is looked at
        asr_inference([*map(str, options), "--ngpu", "0"])


@needs_gpu
@pytest.mark.parametrize("subnet", SUBNETS, ids=str)
@pytest.mark.parametrize("config", SEARCHES, ids=["greedy", "beam"])
def test_a_gpu_finds_the_same_tokens(monkeypatch, model, tokenizer, features, config, subnet):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # 10 bits of mantissa may change a token
    on_gpu = copy.deepcopy(model).to("cuda")
    assert decode(on_gpu, tokenizer, features, config, subnet) == decode(model, tokenizer, features, config, subnet)

import numpy as np
import torch

from dualmode.asr.build import build_recogniser
from dualmode.bench.decode import decode_espnet, decode_ours, espnet_decoder
from dualmode.data.tokens import Tokenizer

TOKENS = ["<blank>", "<unk>", *"abcd"]
ENCODER = {"output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 4}


def test_espnet_runs_the_same_model(tmp_path):
    torch.manual_seed(0)
    model = build_recogniser({"encoder_conf": ENCODER, "model_conf": {"kind": "ctc"}}, TOKENS).eval()
    draw = np.random.default_rng(0)
    features = [draw.standard_normal((frames, 80)).astype(np.float32) for frames in (30, 45, 60)]
    with torch.inference_mode():  # nearly all of the probability on one token a frame: both searches find that path
        encoded, _ = model.encoder(torch.tensor(features[2])[None], torch.tensor([60]))
        model.head.weight.div_(model.head(encoded[0]).std(dim=0)[:, None]).mul_(50)
        model.head.bias.copy_(-model.head.weight @ encoded[0].mean(dim=0))
    ours = decode_ours(model, Tokenizer("word", TOKENS), features, 2)
    assert sum(map(len, ours)) > 5
    assert decode_ours(model, Tokenizer("word", TOKENS), features, 1) == ours
    assert decode_espnet(espnet_decoder(model, tmp_path), features) == ours

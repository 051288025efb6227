import numpy as np
import torch

from dualmode.asr.build import build_asr_model
from dualmode.bench.decode import decode_espnet, decode_ours, encode, espnet_decoder
from dualmode.data.tokens import Tokenizer

TOKENS = ["<blank>", "<unk>", *"abcd"]
ENCODER = {"output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 4}


def test_espnet_runs_the_same_model(tmp_path):
    torch.manual_seed(0)
    model = build_asr_model({"encoder_conf": ENCODER, "model_conf": {"kind": "ctc"}}, TOKENS).eval()
    draw = np.random.default_rng(0)
    features = [draw.standard_normal((frames, 80)).astype(np.float32) for frames in (30, 45, 60)]
    espnet = espnet_decoder(model, tmp_path)
    with torch.inference_mode():
        for one, encoded in zip(features, encode(espnet.asr_model.encoder, features), strict=True):
            ours, _ = model.encoder(torch.tensor(one)[None], torch.tensor([len(one)]))
            theirs = espnet.asr_model.ctc.log_softmax(encoded)
            torch.testing.assert_close(theirs[..., :-1], model.posteriors(ours))
            assert theirs[..., -1].max() < -1000  # its sentence mark, which our head does not know
    assert len(decode_espnet(espnet, features)) == 3
    tokenizer = Tokenizer("word", TOKENS)
    assert decode_ours(model, tokenizer, features, 2) == decode_ours(model, tokenizer, features, 1)

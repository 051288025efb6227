"""From a model and a set to word times and emission delays, by the commands that a user types."""

import json

import numpy as np
import pytest
import soundfile
import torch

from dualmode.align.ctm import read_ctm
from dualmode.align.segmentation import load_package
from dualmode.asr.build import build_asr_model
from dualmode.bin import align, asr_inference, emission_delay
from dualmode.errors import UserError
from dualmode.supernet.pruning import estimate_masks

TOKENS = ["<blank>", "<unk>", "<space>", *"abcd"]
ENCODER = {"output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 4}
ENCODER |= {"chunk_ms": [160], "left_ms": [320]}
TEXTS = {"s-1": "ab cd", "s-2": "", "s-3": "abz", "s-4": "abcd" * 20, "s-5": "dad"}

try:
    load_package()
    MISSING = ""
except UserError as error:
    MISSING = str(error)


@pytest.fixture
def places(tmp_path, save_model):
    """Return (model folder, data folder, decoding YAML)."""
    kaldiio = pytest.importorskip("kaldiio")
    torch.manual_seed(0)
    config = {"encoder_conf": ENCODER, "model_conf": {"kind": "ctc"}}
    model = build_asr_model(config, TOKENS).eval()
    estimate_masks(model, model.encoder.config.pruning)
    model_dir, data = save_model(tmp_path / "model", config, TOKENS, model), tmp_path / "data"
    data.mkdir()
    (data / "text").write_text("".join(f"{utt} {text}\n" for utt, text in TEXTS.items()))
    draw = np.random.default_rng(0)
    features = {utt: draw.standard_normal((120, 80)).astype(np.float32) for utt in TEXTS}
    kaldiio.save_ark(str(data / "feats.ark"), features, scp=str(data / "feats.scp"))
    (tmp_path / "decode_stream.yaml").write_text("sparsity: 0.7\nchunk_ms: 160\nleft_ms: 320\n")
    return model_dir, data, tmp_path / "decode_stream.yaml"


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_what_cannot_be_aligned_is_listed_with_its_reason(places, tmp_path, capsys):
    model, data, _ = places
    align.main(["--model", str(model), "--data", str(data), "--out", str(tmp_path / "out")])
    words = read_ctm(tmp_path / "out/ctm")
    assert {utt: [word.text for word in found] for utt, found in words.items()} == {"s-1": ["ab", "cd"], "s-5": ["dad"]}
    assert all(0 <= word.begin_ms < word.end_ms <= 1200 for found in words.values() for word in found)
    assert (tmp_path / "out/unaligned.tsv").read_text() == (
        "utt\treason\tdetail\n"
        "s-2\tno-text\tits transcript is empty\n"
        "s-3\tcharacters-outside-token-list\tthe model's token list lacks z\n"
        "s-4\ttoo-short-for-transcript\t80 tokens need 80 frames of 40 ms, it has 29\n"
    )
    assert "aligned 2 of 5 utterances" in capsys.readouterr().out


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_a_recording_that_cannot_be_used_costs_its_own_alignment_only(places, tmp_path):
    model, _, _ = places
    data = tmp_path / "audio"
    data.mkdir()
    for name, rate in (("good", 16000), ("slow", 8000)):
        soundfile.write(data / f"{name}.wav", 0.1 * np.random.default_rng(0).standard_normal(rate), rate)
    utts = {"a": "gone", "b": "good", "c": "slow"}
    (data / "wav.scp").write_text("".join(f"{utt} {data}/{name}.wav\n" for utt, name in utts.items()))
    (data / "text").write_text("".join(f"{utt} ab\n" for utt in utts) + "d ab\n")
    align.main(["--model", str(model), "--data", str(data), "--out", str(tmp_path / "out")])
    assert list(read_ctm(tmp_path / "out/ctm")) == ["b"]
    assert (tmp_path / "out/unaligned.tsv").read_text() == (
        "utt\treason\tdetail\n"
        f"a\tmissing-file\tthere is no file {data}/gone.wav\n"
        f"c\tother-sample-rate\t{data}/slow.wav has 8000 Hz, expected 16000 Hz\n"
        "d\tno-audio\tit has a transcript but no features\n"
    )


def test_emission_delays_of_a_streaming_decoding(places, tmp_path, capsys):
    model, data, config = places
    decode = tmp_path / "decode_stream_data"
    asr_inference.main(["--config", str(config), "--model", str(model), "--data", str(data), "--out", str(decode)])
    transcripts = dict(line.split(" ", 1) for line in (decode / "text").read_text().splitlines() if " " in line)
    utt, text = next(iter(transcripts.items()))
    first = text.split()[0]
    (tmp_path / "ctm").write_text(f"{utt} 1 0.00 0.04 {first}\n")
    options = ["--decode", str(decode), "--ctm", str(tmp_path / "ctm"), "--model", str(model), "--data", str(data)]
    emission_delay.main(options)
    found = json.loads((decode / "emission_delay.json").read_text())
    times = (decode / "1best_recog/token_ms").read_text().splitlines()
    frames = [int(ms) // 40 for ms in dict(line.split(" ", 1) for line in times if " " in line)[utt].split()]
    heard = min((frames[0] // 4 + 1) * 160 + 37.5, 1200)
    assert found["first_token"] == {"count": 1, "mean_ms": heard, "p50_ms": heard, "p90_ms": heard}
    assert found["word"]["count"] == 1
    assert (decode / "emission_delay.png").read_bytes().startswith(b"\x89PNG")
    assert "beginning of the first word to the first token: mean" in capsys.readouterr().out


def test_the_alignment_of_another_set_is_refused(places, tmp_path):
    model, data, config = places
    decode = tmp_path / "decode_stream_data"
    asr_inference.main(["--config", str(config), "--model", str(model), "--data", str(data), "--out", str(decode)])
    (tmp_path / "ctm").write_text("elsewhere 1 0.00 0.04 ab\n")
    options = ["--decode", str(decode), "--ctm", str(tmp_path / "ctm"), "--model", str(model), "--data", str(data)]
    with pytest.raises(UserError, match="has elsewhere, which .* has not"):
        emission_delay.main(options)

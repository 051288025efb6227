"""dualmode.bin.check_streaming: equal passes are found equal, unequal ones are found and located."""

import pytest
import soundfile
import torch
import yaml

from dualmode.asr.build import build_asr_model
from dualmode.bin.check_streaming import main, noise
from dualmode.encoder import check
from dualmode.encoder.layout import StreamingChunk
from dualmode.errors import UserError
from dualmode.supernet.pruning import estimate_masks

YAML = """
encoder_conf: {output_size: 16, num_blocks: 2, attention_heads: 2, linear_units: 32, subsampling_channels: 4,
  kernel_size: 5, chunk_ms: [160, 320], left_ms: [320], lookahead_ms: [0, 80]}
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "conf.yaml").write_text(YAML)
    return str(tmp_path / "conf.yaml")


def test_equal_passes(config, capsys):
    assert main(["--config", config]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("EQUAL: 8 sub-networks on 4 signals")
    assert "look-ahead past the chunk 80 ms; algorithmic latency 277.5 ms at most" in lines[6]


def test_a_cache_that_is_lost_is_found_in_the_second_chunk(fresh_start, config, capsys, monkeypatch):
    monkeypatch.setattr(
        StreamingChunk, "extended", lambda self, x, frames: torch.nn.functional.pad(x, (0, 0, frames, 0))
    )
    assert main(["--config", config, "--chunk-ms", "160"]) == 1
    out = capsys.readouterr().out
    assert "noise of 2.0 s: DIFFERENT output from the frame at 160 ms on" in out
    assert out.splitlines()[-1].startswith("DIFFERENT: 6 of 8 comparisons, the first is noise of 0.3 s as dense")


def test_the_first_difference_is_where_it_was_put():
    a = torch.zeros(5, 3)
    b = a.clone()
    b[3, 1] = 1e-3
    assert check.first_difference(a, b) == 120
    assert check.first_difference(a, a + 1e-5) is None
    assert check.first_difference(a, a[:4]) == 160
    assert check.first_difference(a, a * float("nan")) == 0


def test_audio_files(config, tmp_path, capsys, rng):
    soundfile.write(tmp_path / "a.wav", noise(1.3, rng), 16000)
    assert (
        main(["--config", config, "--chunk-ms", "320", "--lookahead-ms", "80", "--audio", str(tmp_path / "a.wav")]) == 0
    )
    assert "2 sub-networks on 1 signals" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options, words",
    [
        ([], "either a model folder or --config"),
        (["--config", "CONFIG", "--chunk-ms", "640"], "was not trained for: chunk 640 ms"),
        (["--config", "CONFIG", "--sparsity", "0.5"], "no sub-network of sparsity 0.5"),
        (["--config", "CONFIG", "--left-ms", "99"], "99"),
        (["EMPTY"], "is no model folder"),
    ],
)
def test_mistakes_are_one_sentence(config, options, words, tmp_path):
    named = {"CONFIG": config, "EMPTY": str(tmp_path)}
    with pytest.raises(UserError, match=words):
        main([named.get(option, option) for option in options])


@pytest.mark.parametrize(
    "options, context",
    [
        (["--lookahead-ms", "80"], "chunk 160 ms, left context 320 ms, look-ahead past the chunk 80 ms"),
        (["--left-ms", "320"], "chunk 160 ms, left context 320 ms, look-ahead past the chunk 0 ms"),
        (["--chunk-ms", "320"], "chunk 320 ms, left context 320 ms, look-ahead past the chunk 0 ms"),
    ],
)
def test_what_is_not_said_of_a_context_is_as_validated(config, capsys, options, context):
    assert main(["--config", config, *options, "--subnet", "sparse"]) == 0
    assert context in (out := capsys.readouterr().out)
    assert "EQUAL: 1 sub-networks" in out


def test_a_context_of_a_model_that_prunes_nothing(tmp_path, capsys):
    (tmp_path / "conf.yaml").write_text(YAML.replace("chunk_ms", "sparsities: [0], chunk_ms"))
    assert main(["--config", str(tmp_path / "conf.yaml"), "--chunk-ms", "320"]) == 0
    assert "EQUAL: 1 sub-networks" in capsys.readouterr().out


def test_the_look_ahead_of_a_model_that_has_one_need_not_be_said(tmp_path, capsys):
    (tmp_path / "conf.yaml").write_text(YAML.replace("[0, 80]", "[80]"))
    assert main(["--config", str(tmp_path / "conf.yaml"), "--chunk-ms", "160"]) == 0
    assert "look-ahead past the chunk 80 ms" in capsys.readouterr().out


def test_a_recogniser_without_a_ctc_head_is_checked_too(tmp_path, save_model, capsys):
    tokens = ["<blank>", "<unk>", "a"]
    conf = yaml.safe_load(YAML) | {"model_conf": {"kind": "rnnt", "transducer": {"ctc_weight": 0.0}}}
    model = build_asr_model(conf, tokens)
    estimate_masks(model, model.encoder.config.pruning)
    folder = save_model(tmp_path / "model", conf, tokens, model)
    assert main([str(folder), "--subnet", "sparse", "--chunk-ms", "160"]) == 0
    assert "every output within" in (out := capsys.readouterr().out) and "best token" not in out


def test_force_checks_a_context_that_was_not_trained(config, capsys):
    assert main(["--config", config, "--chunk-ms", "640", "--force"]) == 0

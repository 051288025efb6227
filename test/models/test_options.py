"""One grammar for the commands that open a model, and the spellings that were there before."""

import importlib

import pytest

from dualmode.commands import COMMANDS
from dualmode.errors import UserError
from dualmode.models.options import chosen_name

OPEN_A_MODEL = {
    "stream": ["a.wav"],
    "decode": ["--data", ".", "--out", "out"],
    "prune": ["--config", __file__, "--out", "out"],
    "align": ["--data", ".", "--out", "out"],
    "emission-delay": ["--decode", ".", "--ctm", __file__, "--data", "."],
    "pack": ["--out", "out"],
    "subnet": ["--out", "out"],
    "export": ["--out", "out"],
    "pack-device": ["--out", "out"],
    "decode-device": ["--wav-scp", __file__, "--out", "out"],
}


def parser(name):
    return importlib.import_module(f"dualmode.bin.{COMMANDS[name].module}").get_parser()


@pytest.mark.parametrize("name", OPEN_A_MODEL)
def test_the_model_is_the_first_word_and_the_old_option_is_the_same(name, tmp_path):
    rest, model = OPEN_A_MODEL[name], str(tmp_path)
    first = parser(name).parse_args([model, *rest])
    assert str(first.model) == model
    for words in ([*rest, "--model", model], ["--model", model, *rest], [*rest, f"--model={model}"]):
        assert parser(name).parse_args(words) == first


@pytest.mark.parametrize("name", ["decode", "export", "pack-device"])
def test_a_sub_network_is_named_alike(name, tmp_path):
    def parse(*words):
        return parser(name).parse_args([str(tmp_path), *OPEN_A_MODEL[name], *words])

    new = parse("--subnet", "sparse_0.8", "--chunk-ms", "320", "--left-ms", "640", "--lookahead-ms", "80")
    old = parse("--sparsity", "0.8", "--chunk-ms", "320", "--left-ms", "640", "--right-ms", "80")
    assert chosen_name(new) == chosen_name(old) == "sparse_0.8"
    assert (new.chunk_ms, new.left_ms, new.lookahead_ms) == (old.chunk_ms, old.left_ms, old.lookahead_ms)
    assert chosen_name(parse()) is None and chosen_name(parse("--sparsity", "0")) == "dense"
    assert chosen_name(parse("--subnet", "sparse", "--sparsity", "0.7")) == "sparse_0.7"
    with pytest.raises(UserError, match="--subnet dense and --sparsity 0.5 are two sub-networks"):
        chosen_name(parse("--subnet", "dense", "--sparsity", "0.5"))

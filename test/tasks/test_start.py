"""What a fine-tuning starts from, and what it keeps of it."""

import json
from pathlib import Path

import pytest
import torch

from dualmode.asr.build import build_asr_model
from dualmode.bin.asr_train import main as asr_train
from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.two_branch import BranchWeights
from dualmode.errors import UserError
from dualmode.models.folder import ModelFolder
from dualmode.models.one_subnet import save_one_subnet
from dualmode.supernet.pruning import PruningSchedule, estimate_masks
from dualmode.supernet.subnet import DENSE
from dualmode.tasks.asr import AsrTask
from dualmode.tasks.base import replace_cmvn
from dualmode.tasks.hand_over import inherited, take_over
from dualmode.tasks.start import inherited_model_conf, starting_config

TOKENS = ["<blank>", "<unk>", "one", "two"]
CONF = {"output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 4}


@pytest.fixture
def alone(save_model, tmp_path):
    """Return a function that saves the sub-network of sparsity 0.5 of a tiny recogniser alone, and returns both."""

    def alone(**pruning) -> tuple[Path, torch.nn.Module]:
        torch.manual_seed(0)
        conf = {"encoder_conf": {**CONF, "sparsities": [0.5], **pruning}, "model_conf": {}}
        model = build_asr_model(conf, TOKENS).eval()
        estimate_masks(model, model.encoder.config.pruning)
        folder = save_model(tmp_path / "model", {**conf, "encoder_conf": model.encoder.config.to_dict()}, TOKENS, model)
        supernet = ModelFolder.open(folder).supernet()
        save_one_subnet(
            ModelFolder.open(folder).supernet(), 0.5, conf, folder / "tokens", tmp_path / "alone", "latest.pth"
        )
        return tmp_path / "alone", supernet

    return alone


def test_a_sub_network_alone_goes_on_with_all_it_has(alone, features):
    folder, supernet = alone(granularity="units")
    config = EncoderConfig(**inherited({"dropout_rate": 0.0}, starting_config(ModelFolder.open(folder))))
    assert config.sparsities == (0.0,) and config.linear_units == 16
    model = build_asr_model({"encoder_conf": config.to_dict()}, TOKENS).eval()
    take_over(model, model.encoder.config, folder, TOKENS)
    x, lengths = torch.tensor(features(100)).unsqueeze(0), torch.tensor([100])
    with torch.inference_mode():
        expected, _ = supernet.encoder(x, lengths, supernet.encoder.config.default_subnet())
        found, _ = model.encoder(x, lengths, model.encoder.config.default_subnet())
        torch.testing.assert_close(supernet.posteriors(expected), model.posteriors(found), atol=1e-5, rtol=1e-4)
        assert not torch.allclose(found, model.encoder(x, lengths, DENSE)[0])  # it still is a stream


@pytest.mark.parametrize(
    ("interval", "sparsities", "sparse", "warned"),
    [(0, [0.5], 1.0, True), (5, [0.5], 1.0, False), (0, [0.0], 1.0, False), (0, [0.5], 0.0, False)],
)
def test_masks_that_are_never_found_are_warned_of(interval, sparsities, sparse, warned, tmp_path, capsys):
    conf = {"encoder_conf": {**CONF, "sparsities": sparsities}, "branch_conf": {"sparse": sparse}}
    model = build_asr_model({**conf, "model_conf": {}}, TOKENS)
    model.schedule, model.branches = PruningSchedule(interval=interval), BranchWeights(**conf["branch_conf"])
    args = AsrTask.get_parser().parse_args(["--output_dir", str(tmp_path)])
    args.distributed = False
    AsrTask.take_over(args, model, TOKENS)
    assert ("never finds masks" in capsys.readouterr().out) == warned


def test_a_sub_network_of_blocks_is_not_filled_again(alone):
    folder, _ = alone(granularity="blocks", block=[2, 2])
    with pytest.raises(
        UserError, match="alone, pruned in blocks of 2x2, which a training would fill again: start from"
    ):
        starting_config(ModelFolder.open(folder))


def test_the_kind_of_the_model_is_kept_unless_named():
    rnnt = {"kind": "rnnt", "transducer": {"context": 1}, "distill_weight": 3.0}
    assert inherited_model_conf({}, rnnt) == {"kind": "rnnt", "transducer": {"context": 1}}
    assert inherited_model_conf({"kind": "ctc"}, rnnt) == {"kind": "ctc"}
    assert inherited_model_conf({"distill_after": 1}, {}) == {"distill_after": 1}


def test_another_mean_and_variance_are_said_to_replace_the_models(ctc_model, tmp_path, capsys):
    norm = build_asr_model({"encoder_conf": CONF}, TOKENS).encoder.normalize
    stats = {"mean": [1.0] * len(norm.mean), "std": [2.0] * len(norm.std)}
    (tmp_path / "cmvn.json").write_text(json.dumps(stats))
    replace_cmvn(norm, tmp_path / "cmvn.json", "exp/asr_base")
    assert float(norm.mean[0]) == 1.0
    assert "cmvn.json, in the place of those of exp/asr_base (--cmvn)" in capsys.readouterr().out
    replace_cmvn(norm, tmp_path / "cmvn.json", "exp/asr_base")  # the same again
    assert capsys.readouterr().out == ""


def test_other_tokens_are_said_to_leave_the_head(save_model, tmp_path, capsys):
    model = build_asr_model({"encoder_conf": CONF}, TOKENS)
    folder = save_model(tmp_path / "m", {"encoder_conf": model.encoder.config.to_dict()}, TOKENS, model)
    other = build_asr_model({"encoder_conf": CONF}, [*TOKENS, "three"])
    take_over(other, other.encoder.config, folder, [*TOKENS, "three"])
    said = capsys.readouterr().out
    assert f"the head of {folder} is left behind: it has other tokens (4, and 5 here)" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "without --init, --cmvn is needed"),
        (["--cmvn", "x.yaml"], "without --init, --tokens is needed"),
        (["--init", "."], "is no recogniser and has no tokens: name a token list with --tokens"),
    ],
)
def test_without_a_model_everything_has_to_be_named(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text("batch_type: length\n")
    with pytest.raises(UserError, match=message):
        asr_train(["--config", "x.yaml", "--train", ".", "--valid", ".", "--out", "out", *words])

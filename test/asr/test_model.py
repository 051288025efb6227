import re

import pytest
import torch

from dualmode.asr.build import build_asr_model
from dualmode.errors import UserError
from dualmode.supernet.pruning import estimate_masks
from dualmode.supernet.subnet import DENSE

TOKENS = ["<blank>", "<unk>", "a", "b", "c"]
CONF = {
    "encoder_conf": {
        "output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 4,
        "dropout_rate": 0.0, "granularity": "blocks",
    }
}  # fmt: skip


def tiny(**conf):
    torch.manual_seed(0)
    model = build_asr_model({**CONF, **conf}, TOKENS)
    estimate_masks(model, model.encoder.config.pruning)
    return model


def batch():
    torch.manual_seed(1)
    return {
        "speech": torch.randn(2, 90, 80),
        "speech_lengths": torch.tensor([90, 60]),
        "text": torch.tensor([[2, 3, 4], [4, 4, -1]]),
        "text_lengths": torch.tensor([3, 2]),
    }


def test_the_loss_is_the_weighted_sum_of_the_branches():
    model = tiny(branch_conf={"dense": 0.5, "sparse": 2.0}, model_conf={"distill_weight": 0.25}).train()
    loss, stats, weight = model(**batch())
    expected = 0.5 * stats["loss_dense"] + 2.0 * stats["loss_sparse"] + 0.25 * stats["loss_distill"]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert weight == 2


def test_distillation_waits_and_grows():
    model = tiny(model_conf={"distill_weight": 3.0, "distill_after": 2, "distill_ramp": 2}).train()
    shares = []
    for _ in range(5):
        loss, stats, _ = model(**batch())
        rest = loss - stats["loss_dense"] - stats["loss_sparse"]
        shares.append((rest / stats["loss_distill"]).item() / 3 if "loss_distill" in stats else 0.0)
    assert shares == pytest.approx([0.0, 0.0, 0.5, 1.0, 1.0], rel=1e-4)


def test_the_loss_of_an_rnnt_is_the_weighted_sum_of_all_its_parts():
    transducer = {"ctc_weight": 0.5, "distill_weight": 0.125}
    conf = {"kind": "rnnt", "distill_weight": 0.25, "transducer": transducer}
    loss, stats, _ = tiny(branch_conf={"dense": 0.5, "sparse": 2.0}, model_conf=conf).train()(**batch())
    for name in ("dense", "sparse"):
        expected = stats[f"loss_rnnt_{name}"] + 0.5 * stats[f"loss_ctc_{name}"]
        assert stats[f"loss_{name}"].item() == pytest.approx(expected.item(), rel=1e-6)
    expected = 0.5 * stats["loss_dense"] + 2.0 * stats["loss_sparse"]
    expected += 0.25 * stats["loss_distill"] + 0.125 * stats["loss_distill_rnnt"]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def spoken():
    """The batch again, but each token now has a sound of its own: 120 ms of it, then 120 ms of nothing."""
    said = batch()
    sounds = torch.randn(len(TOKENS), 1, 80)
    for row, length, text in zip(said["speech"], said["text_lengths"], said["text"], strict=True):
        row.zero_()
        for number, token in enumerate(text[:length]):
            row[24 * number + 12 : 24 * number + 24] = sounds[token]
    return said


def test_a_flat_start_gives_way_to_ctc():
    model, shares = tiny(model_conf={"flat_start": 4}).train(), []
    for _ in range(5):
        _, stats, _ = model(**batch())
        for name in ("dense", "sparse"):
            if f"loss_flat_{name}" in stats:
                ctc, flat = stats[f"loss_ctc_{name}"].item(), stats[f"loss_flat_{name}"].item()
                shares.append((stats[f"loss_{name}"].item() - ctc) / (flat - ctc))
    assert shares == pytest.approx([0.75, 0.75, 0.5, 0.5, 0.25, 0.25], rel=1e-3)


def test_validation_knows_no_flat_start():
    with torch.no_grad():
        losses = [tiny(model_conf=conf).eval()(**batch())[0].item() for conf in ({}, {"flat_start": 100})]
    assert losses[0] == losses[1]


def test_the_rnnt_loss_warms_up():
    model, shares = tiny(model_conf={"kind": "rnnt", "transducer": {"ctc_weight": 0.5, "warmup": 3}}).train(), []
    for _ in range(4):
        _, stats, _ = model(**batch())
        shares.append(((stats["loss_dense"] - 0.5 * stats["loss_ctc_dense"]) / stats["loss_rnnt_dense"]).item())
    assert shares == pytest.approx([1 / 3, 2 / 3, 1.0, 1.0], rel=1e-5)


@pytest.mark.parametrize("predictor", ["stateless", "lstm"])
def test_both_branches_of_an_rnnt_learn_two_utterances(predictor):
    conf = {"kind": "rnnt", "transducer": {"predictor": predictor, "predictor_size": 16, "joiner_size": 16}}
    model, said, history = tiny(model_conf=conf).train(), spoken(), []
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(100):
        loss, stats, _ = model(**said)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(stats)
    for name in ("dense", "sparse"):
        assert history[-1][f"loss_{name}"] < 0.05 * history[0][f"loss_{name}"]
    _, stats, _ = model.eval()(**said)
    assert stats["ter_dense"] == stats["ter_sparse"] == 0.0


def test_batches_that_find_the_masks_anew_say_how_much_changed():
    model = tiny(pruning_conf={"end": 4, "interval": 2, "start": 1.0}).train()
    changes = []
    for step in range(6):
        if step == 3:  # seen by the estimate before batch 4
            torch.nn.init.normal_(model.encoder.blocks[0].ffn1.up.weight)
        changes.append(model(**batch())[1].get("mask_change"))
    assert [change is not None for change in changes] == [True, False, True, False, True, False]
    assert changes[0] == changes[2] == 0 and 0 < changes[4] < 1
    assert "mask_change" not in model.eval()(**batch())[1]


def test_an_rnnt_without_ctc_has_no_head():
    model = tiny(model_conf={"kind": "rnnt", "transducer": {"ctc_weight": 0.0}}).train()
    assert model.head is None
    _, stats, _ = model(**batch())
    assert set(stats) == {"loss", "loss_dense", "loss_sparse"}
    with pytest.raises(UserError, match="no CTC head"):
        model.posteriors(torch.zeros(1, 16))


def test_kind_ctc_has_the_weights_that_it_always_had():
    model = tiny()
    assert model.kind == "ctc" and model.predictor is None and model.joiner is None
    names = {name for name in model.state_dict() if not name.startswith("encoder.")}
    assert names == {"_extra_state", "head.weight", "head.bias"}


@pytest.mark.parametrize("branch, seed, acts", [("dense", 0, False), ("sparse", 0, True), ("sparse", 5, False)])
def test_fastemit_is_for_the_branch_that_streams(branch, seed, acts):
    """The sparse branch draws its context: a chunk with seed 0, the whole utterance with seed 5."""
    gradients = []
    for fastemit in (0.0, 0.5):
        model = tiny(
            encoder_conf={**CONF["encoder_conf"], "chunk_ms": [640, None]},
            model_conf={"kind": "rnnt", "transducer": {"fastemit": fastemit}},
            branch_conf={"dense": 0.0, "sparse": 0.0, branch: 1.0},
        ).train()
        model.seed = seed
        model(**batch())[0].backward()
        gradients.append(model.joiner.output.bias.grad)
    assert torch.allclose(*gradients) != acts


@pytest.mark.parametrize("kind", ["ctc", "rnnt"])
def test_an_utterance_that_is_too_short_is_named(kind):
    short = {**batch(), "speech_lengths": torch.tensor([90, 15]), "text": torch.tensor([[2, 3, 4], [4, 4, 4]])}
    short["text_lengths"] = torch.tensor([3, 3])
    with pytest.raises(UserError, match="utterance u2 has 3 encoder frames of 40 ms, but its 3 tokens need 5"):
        tiny(model_conf={"kind": kind})(**short, utt_id=["u1", "u2"])


def test_an_rnnt_needs_one_frame():
    conf = {"kind": "rnnt", "transducer": {"ctc_weight": 0.0}}
    model = tiny(model_conf=conf).train()
    short = {**batch(), "speech_lengths": torch.tensor([90, 7])}
    assert torch.isfinite(model(**short)[0])
    with pytest.raises(UserError, match="utterance u2 has 0 encoder frames"):
        model(**{**batch(), "speech_lengths": torch.tensor([90, 6])}, utt_id=["u1", "u2"])


def test_pruned_weights_learn_from_the_dense_branch_only():
    for branches, silent in (({"dense": 0.0, "sparse": 1.0}, True), ({"dense": 1.0, "sparse": 0.0}, False)):
        model = tiny(branch_conf=branches).train()
        model(**batch())[0].backward()
        layer = model.encoder.blocks[0].ffn1.up
        assert (layer.weight.grad[~layer.masks[0]].abs().sum() == 0) == silent
        assert layer.weight.grad[layer.masks[0]].abs().sum() > 0


def test_validation_reports_both_branches_and_their_mean():
    _, stats, _ = tiny().eval()(**batch())
    assert stats["ter"] == (stats["ter_dense"] + stats["ter_sparse"]) / 2
    assert not any(key.startswith("wer") for key in stats)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_validation_counts_words_where_they_are_known(share):
    model = tiny(model_conf={"decode_share": share}).eval()
    model.to_words = lambda tokens: "".join(TOKENS[token] for token in tokens).split("b")
    model.decode_greedy = lambda encoded, frames: [[2, 3, 2], [2]][: len(frames)]
    _, stats, _ = model(**batch())  # "abc" is heard as "aba", "cc" as "a"
    assert stats["ter_dense"].item() == pytest.approx(100 * (3 / 5 if share == 1 else 1 / 3))
    assert stats["wer"].item() == pytest.approx(100 * (2 / 3 if share == 1 else 1 / 2))


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({"kind": "rnn-t"}, "kind is 'rnn-t': it must be one of ctc, rnnt"),
        ({"transducer": {}}, "transducer needs kind: rnnt"),
        ({"kind": "rnnt", "transducer": {"fastmit": 1}}, "transducer has no key 'fastmit'"),
        ({"kind": "rnnt", "transducer": {"predictor": "gru"}}, "predictor is 'gru'"),
        ({"kind": "rnnt", "transducer": {"context": 0}}, "context is 0: it must be a whole number of at least 1"),
        ({"kind": "rnnt", "transducer": {"max_cells": 1e5}}, "max_cells is 100000.0: it must be a whole number"),
        (
            {"kind": "rnnt", "distill_weight": 1, "transducer": {"ctc_weight": 0}},
            "distill_weight, label_smoothing and flat_start",
        ),
        ({"distill_weight": "0.1"}, "distill_weight is '0.1': it must be a number of at least 0"),
        ({"distill_ramp": -1}, "distill_ramp is -1"),
        ({"distill_shift_ms": 50}, "distill_shift_ms is 50 ms: it must be a multiple"),
        ({"label_smoothing": 1.0}, "label_smoothing must be below 1"),
        ({"decode_share": 1.5}, "decode_share at most 1"),
    ],
)
def test_an_impossible_setting_is_named(conf, message):
    with pytest.raises(UserError, match=re.escape(message)):
        tiny(model_conf=conf)


@pytest.mark.parametrize("section", ["encoder_conf", "model_conf", "pruning_conf", "branch_conf"])
def test_an_unknown_key_is_named(section):
    with pytest.raises(UserError, match=f"{section} has no key 'sparsty'"):
        build_asr_model({**CONF, section: {"sparsty": 1}}, TOKENS)


def test_alternate_trains_one_branch_a_batch_and_validates_both():
    model = tiny(branch_conf={"schedule": "alternate"}).train()
    run = []
    for _ in range(3):
        _, stats, _ = model(**batch())
        run.append([name for name in ("dense", "sparse") if f"loss_{name}" in stats])
    assert run == [["dense"], ["sparse"], ["dense"]]
    assert {"loss_dense", "loss_sparse"} <= set(model.eval()(**batch())[1])


@pytest.mark.parametrize(
    "model_conf",
    [
        {"distill_weight": 0.3, "distill_after": 2},
        {"kind": "rnnt", "distill_weight": 0.3, "distill_after": 2, "transducer": {"distill_weight": 0.2}},
    ],
)
def test_where_branches_take_turns_the_dense_one_teaches_as_it_does_beside_the_sparse_one(model_conf):
    torch.manual_seed(0)
    turns = tiny(branch_conf={"schedule": "alternate"}, model_conf=model_conf).train()
    beside = tiny(branch_conf={"dense": 1e-12}, model_conf=model_conf).train()  # the dense branch is not trained
    beside.load_state_dict(turns.state_dict())
    taught = []
    for _ in range(4):
        loss, stats, _ = turns(**batch())
        taught.append([name for name in stats if name.startswith("loss_distill")])
        loss_beside, stats_beside, _ = beside(**batch())
    assert taught[:3] == [[], [], []] and taught[3] == [n for n in stats_beside if n.startswith("loss_distill")] != []
    assert loss.item() == pytest.approx(loss_beside.item(), rel=1e-5)
    loss.backward(), loss_beside.backward()
    theirs = dict(beside.named_parameters())
    for name, parameter in turns.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(parameter.grad, theirs[name].grad, rtol=1e-4, atol=1e-6, msg=name)


def test_without_distillation_no_teacher_is_run(monkeypatch):
    model = tiny(branch_conf={"schedule": "alternate"}).train()
    encode, seen = model.encoder.encode, []
    monkeypatch.setattr(
        model.encoder, "encode", lambda x, lengths, subnet: seen.append(subnet) or encode(x, lengths, subnet)
    )
    for _ in range(4):
        model(**batch())
    assert [subnet is DENSE for subnet in seen] == [True, False, True, False]


def test_a_branch_alone_has_no_teacher():
    model = tiny(branch_conf={"dense": 0}, model_conf={"distill_weight": 0.3}).train()
    assert "loss_distill" not in model(**batch())[1]


def spoilt(value):
    data = batch()
    data["speech"][1, 10, 3] = value
    return data | {"utt_id": ["anna-1", "anna-2"]}


@pytest.mark.parametrize("kind", ["ctc", "rnnt"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_skips_the_batch_and_names_the_utterance(kind, value, capsys):
    model = tiny(model_conf={"kind": kind, "max_skipped": 2}).train()
    good = model(**batch())
    loss, stats, weight = model(**spoilt(value))
    loss.backward()
    assert (loss, weight) == (0, 0)
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in model.parameters())
    assert stats.keys() == good[1].keys() and all(value == 0 for value in stats.values())
    assert re.search(
        r"batch of update 2 is skipped \(1 of at most 2 in a row\): the \w+ loss of utterance anna-2 is",
        capsys.readouterr().out,
    )
    model(**batch())  # a good one in between
    for _ in range(2):
        model(**spoilt(value))
    with pytest.raises(UserError, match="anna-2"):
        model(**spoilt(value))


def test_a_loss_that_is_not_finite_is_no_validation(capsys):
    with pytest.raises(UserError, match="loss of utterance anna-2 is nan"):
        tiny().eval()(**spoilt(float("nan")))


def test_validation_averages_by_tokens():
    """Two batches, of 3 and of 2 tokens: the mean of their rates, by weight, is the rate of all five."""
    model, data = tiny().eval(), batch()
    rates = []
    for index, tokens in enumerate((3, 2)):
        one = {name: tensor[index : index + 1] for name, tensor in data.items()}
        one["text"] = one["text"][:, :tokens]
        _, stats, weight = model(**one)
        assert weight == tokens
        rates.append((stats["ter_dense"].item(), tokens))
    _, together, weight = model(**data)
    assert weight == 5
    mean = sum(rate * tokens for rate, tokens in rates) / 5
    assert together["ter_dense"].item() == pytest.approx(mean, abs=1e-4)


@pytest.mark.parametrize(
    "model_conf",
    [
        {"distill_weight": 0.2, "distill_shift_ms": 80, "label_smoothing": 0.1, "flat_start": 9},
        {"kind": "rnnt", "transducer": {"distill_weight": 0.3, "fastemit": 0.1}},
        {"kind": "rnnt", "transducer": {"predictor": "lstm", "max_cells": 20}},
    ],
    ids=["ctc", "stateless", "lstm"],
)
@pytest.mark.parametrize("shorter", range(56, 64))  # all remainders of the subsampling, and of the chunk's 2 frames
def test_nothing_of_the_padding_reaches_loss_or_gradient(model_conf, shorter):
    encoder = {**CONF["encoder_conf"], "chunk_ms": [80], "left_ms": [120], "lookahead_ms": [40]}
    model = tiny(model_conf=model_conf, encoder_conf=encoder).train()
    found = []
    for filled in (False, True):
        data = batch() | {"speech_lengths": torch.tensor([90, shorter])}
        data["speech"][1, shorter:] = 100 * torch.randn(90 - shorter, 80) if filled else 0.0
        data["text"][1, 2:] = 3 if filled else -1
        model.zero_grad()
        model.step = 1  # of the same weights of the losses
        loss, _, _ = model(**data)
        loss.backward()
        found.append([loss.detach(), *(parameter.grad for parameter in model.parameters())])
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)

"""A dry step says what does not fit, and leaves no trace.  That trainings end alike with and without: test_resume."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

sys.path.insert(0, str(Path(__file__).parent))
from parallel_training import build  # noqa: E402

from dualmode.encoder.two_branch import BranchWeights  # noqa: E402
from dualmode.errors import UserError  # noqa: E402
from dualmode.supernet.subnet import DENSE, Context, Subnet  # noqa: E402
from dualmode.tasks.dry_step import dry_step, states_to_come  # noqa: E402

FRAMES = {"a": 60, "b": 40, "c": 40, "d": 50}
CPU = torch.device("cpu")


class Data(dict):
    """Utterances by name."""

    def __missing__(self, name: str):
        return name, {"speech": torch.randn(FRAMES[name], 80, dtype=torch.float64), "text": torch.tensor([2, 3])}


def collate(items):
    lengths = [len(data["speech"]) for _, data in items]
    speech = torch.nn.utils.rnn.pad_sequence([data["speech"] for _, data in items], batch_first=True)
    text = torch.stack([data["text"] for _, data in items])
    batch = {"speech": speech, "text": text, "speech_lengths": torch.tensor(lengths)}
    return [name for name, _ in items], batch | {"text_lengths": torch.full((len(items),), 2)}


@pytest.fixture
def loader() -> DataLoader:
    return DataLoader(Data(), batch_sampler=[["d"], ["b", "c"], ["a"]], collate_fn=collate)


def state(model) -> tuple:
    generators = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    return generators, weights, (model.step, model.begins_update, model.skipped)


def same(before, after) -> bool:
    return (
        before[0] == after[0]
        and before[2] == after[2]
        and all(torch.equal(before[1][k], after[1][k]) for k in after[1])
    )


@pytest.mark.parametrize("fits", [True, False])
def test_nothing_is_left_behind(fits, loader, monkeypatch):
    model = build("ctc", dropout_rate=0.1, layer_drop_rate=0.5).train()
    model.step, model.skipped = 3, 2
    optimizer = torch.optim.AdamW(model.parameters())
    before, seen = state(model), []
    forward = model.forward

    def noting(**batch):
        seen.append((model.step, batch["utt_id"]))
        result = forward(**batch)
        if not fits:
            raise torch.OutOfMemoryError
        return result

    monkeypatch.setattr(model, "forward", noting)
    if fits:
        said = dry_step(model, optimizer, loader, FRAMES, CPU, 720)
        assert said == "dry step on the largest batches, 2 utterances of up to 0.4 s and 1 utterance of up to 0.6 s"
        assert [names for _, names in seen] == [["b", "c"], ["a"]], "most frames with padding, and the longest one"
    else:
        with pytest.raises(UserError, match="2 utterances of up to 0.4 s does not fit .* lower batch_bins .720 now"):
            dry_step(model, optimizer, loader, FRAMES, CPU, 720)
    assert min(step for step, _ in seen) > 10**8, "all losses have their full weight"
    assert same(before, state(model)) and not optimizer.state
    assert all(parameter.grad is None for parameter in model.parameters())


def test_room_is_left_for_what_the_optimizer_will_keep():
    weight = torch.nn.Parameter(torch.ones(2))
    adam, plain = torch.optim.AdamW([weight]), torch.optim.SGD([weight])
    assert (states_to_come(adam), states_to_come(plain)) == (2, 0)
    weight.grad = torch.ones(2)
    adam.step()
    assert states_to_come(adam) == 0


@pytest.mark.parametrize(("schedule", "branches"), [("both", ["dense", "sparse"]), ("alternate", ["sparse", "dense"])])
def test_both_branches_are_tried_with_all_blocks_as_what_needs_most(schedule, branches, loader, monkeypatch):
    contexts = {"chunk_ms": [320, 160, None], "left_ms": [160, 640, 320], "lookahead_ms": [0, 80]}
    model = build("ctc", layer_drop_rate=0.9, **contexts).train()
    model.branches = BranchWeights(schedule=schedule)
    encode, block, seen, blocks = model.encoder.encode, model.encoder.run_block, [], []

    def noting(x, lengths, subnet):
        seen.append(subnet)
        return encode(x, lengths, subnet)

    monkeypatch.setattr(model.encoder, "encode", noting)
    monkeypatch.setattr(model.encoder, "run_block", lambda *how: blocks.append(how) or block(*how))
    config = model.encoder.config
    dry_step(model, torch.optim.AdamW(model.parameters()), loader, FRAMES, CPU, 720)
    subnets = {"dense": DENSE, "sparse": Subnet(0.4, Context.from_ms(160, 640, 80))}
    assert seen == 2 * [subnets[name] for name in branches]
    assert len(blocks) == len(seen) * config.num_blocks
    assert model.encoder.config is config


@pytest.mark.parametrize(("accumulated", "copies"), [(1, 2), (2, 3)])
def test_room_is_left_for_the_gradients_of_earlier_batches(accumulated, copies, loader, monkeypatch):
    model = build("ctc").train()
    like, made = torch.empty_like, []
    monkeypatch.setattr(torch, "empty_like", lambda x: made.append(x) or like(x))
    optimizer = torch.optim.AdamW(model.parameters())
    dry_step(model, optimizer, loader, FRAMES, CPU, 720, accumulated=accumulated)
    assert {sum(one is weight for one in made) for weight in model.parameters()} == {copies}

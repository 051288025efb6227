"""Every kind of update, a checkpoint and decoding on a GPU that is not there (:mod:`pretended_gpu`)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("on_pretended_gpu.py")
BATCHES = 2  # of an update
# What waits for the GPU in a batch, and how often; each lets it run dry, so that one more has to be worth it.
HIDDEN = {"model._forward": 1}  # how many frames are hidden
ANSWERS = {"contrastive.chance": 1}  # how many of them are different
LENGTHS = {"references.check_lengths": 1, "references.as_lists": 2, "references.fault": 1}
CTC = {"ctc.ctc_losses": 2}  # a branch's lengths, which torch's kernel reads
RNNT = {"loss.rnnt_losses": 6}  # a branch's largest lengths, and what torchaudio's kernel reads
WAITS = {
    "contrastive": HIDDEN | ANSWERS,
    "contrastive, bf16, apart": HIDDEN | ANSWERS,
    "best_rq, blocks, alternate": HIDDEN | {"masking.keep_apart": 2},
    "ctc, flat start, distilled": LENGTHS | CTC,
    "ctc, bf16, global, checkpointed": LENGTHS | CTC,
    "ctc, augmented": LENGTHS | CTC | {"asr.<lambda>": 4},  # ESPnet's SpecAug
    "rnnt, spans, 2:4": LENGTHS | CTC | RNNT,
    "rnnt alone, bf16, fastemit": LENGTHS | RNNT,
    "ctc, nothing pruned": LENGTHS | CTC,
}
REFUSED = {
    "mixed": "add.Tensor: some tensors are on the GPU, others are not",
    "index": "index.Tensor: some tensors are on the GPU, others are not",
    "generator": "rand.generator: a generator of the cpu cannot draw on the gpu",
    "collective": "allreduce_: NCCL exchanges nothing that is not on the GPU",
    "numbers": None,  # single numbers go along
}


@pytest.fixture(scope="module")
def found() -> dict:
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_device_refuses_what_a_gpu_refuses(found):
    assert found["refused"] == REFUSED


@pytest.mark.parametrize("name", WAITS)
def test_a_gpu_trains_as_the_cpu_does(found, name):
    here, there = (found["train"][name][place] for place in ("cpu", "gpu"))
    assert isinstance(here, dict), here
    assert isinstance(there, dict), there
    close = 0.02 if "bf16" in name else 1e-4
    for phase in ("update", "valid"):
        assert there[phase] == pytest.approx(here[phase], rel=close, abs=close)


@pytest.mark.parametrize(("name", "of_a_batch"), WAITS.items())
def test_an_update_waits_for_the_gpu_as_seldom_as_it_can(found, name, of_a_batch):
    expected = {where: BATCHES * often for where, often in of_a_batch.items()}
    assert found["train"][name]["gpu"]["waits"] == expected | {"tally.read": 1}


@pytest.mark.parametrize("kind", ["ctc", "rnnt"])
def test_a_gpu_finds_the_same_tokens(found, kind):
    here, there = (found["decode"][kind][place] for place in ("cpu", "gpu"))
    assert isinstance(here, list) and here == there

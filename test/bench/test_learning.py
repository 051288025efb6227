"""bench learning on noise: what is compared, what is kept, and the figures by hand."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from dualmode.bench.learner import STARTS, VARIANTS, Ours, Plan, hide_bins
from dualmode.bench.learning_rows import best_rates, read_rows, seeds_of, summaries
from dualmode.bench.sentences import Sentences, characters
from dualmode.bin.bench import main
from dualmode.data.kaldi_dir import write_table
from dualmode.errors import UserError
from dualmode.supernet.masked_linear import prunable

kaldiio = pytest.importorskip("kaldiio")


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("dump"), np.random.default_rng(0)
    for name, frames in (("train", (120, 80, 100, 90)), ("valid", (110, 70))):
        (folder / name).mkdir()
        matrices = {f"{name}{i}": random.standard_normal((n, 80)).astype(np.float32) for i, n in enumerate(frames)}
        with kaldiio.WriteHelper(f"ark,scp:{folder / name}/feats.ark,{folder / name}/feats.scp") as out:
            for utt, matrix in matrices.items():
                out(utt, matrix)
        write_table(folder / name / "text", dict.fromkeys(matrices, "A BC"))
    return folder


def plan(variant="supernet", start="zero"):
    return Plan(variant, start, "16x2", 1e-3, 1, 10, 5, 3.0)


def options(dump, rows, *more):
    sizes = ["--sizes", "16x2", "--seeds", "1", "2", "--learning-rates", "1e-3", "--updates", "3", "--every", "2"]
    return ["learning", "--data", str(dump), "--rows", str(rows), "--threads", "1", *sizes, *more]


def test_trainings_are_measured_drawn_and_not_repeated(dump, tmp_path, capsys):
    rows = tmp_path / "rows.jsonl"
    command = options(dump, rows, "--variants", "stream", "supernet", "--picture", str(tmp_path / "curves.png"))
    main([*command, "--json", str(tmp_path / "curves.json")])
    assert "- Seed: differs" in (tmp_path / "curves.md").read_text()
    assert "| supernet | zero  | 16x2 " in capsys.readouterr().out
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    keys = {(row["variant"], row["seed"], row["updates"]) for row in found}
    assert keys == {(v, s, u) for v in ("stream", "supernet") for s in (1, 2) for u in (2, 3)}
    assert all({"cer", "cer_train", "loss", "seconds", "device"} <= row.keys() for row in found)
    assert all(("cer_stream" in row) == (row["variant"] == "supernet") for row in found)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    before = rows.read_bytes()
    main(command)
    assert rows.read_bytes() == before
    with pytest.raises(UserError, match="has trainings with frames_a_token 2.0, and now it is 3.0: give the same data"):
        main([*command, "--frames-a-token", "3"])
    shutil.copytree(dump, tmp_path / "other")
    text = tmp_path / "other" / "train" / "text"
    text.write_text(text.read_text().replace("A", "B"))
    with pytest.raises(UserError, match="has trainings with texts_sha256 "):
        main([*command, "--data", str(tmp_path / "other")])


def running(pid):
    """Whether a process is there and has not ended; one that nobody waited for has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def wait_until(true):
    end = time.monotonic() + 240
    while not true():
        assert time.monotonic() < end, "it took four minutes"
        time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="processes are looked for in Linux's /proc")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_trainings_end_with_the_benchmark_and_what_is_done_is_kept(dump, tmp_path, number, status):
    rows = tmp_path / "rows.jsonl"
    more = ["--variants", "dense", "--jobs", "2", "--seeds", *map(str, range(5000))]
    command = [sys.executable, "-m", "dualmode.bin.bench", *options(dump, rows, *more)]
    # What began behind "&" in a script ignores SIGINT, and hands that on.
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **heard) as bench:
        try:
            wait_until(lambda: rows.is_file() and rows.stat().st_size)
            children = Path(f"/proc/{bench.pid}/task/{bench.pid}/children").read_text().split()
            bench.send_signal(number)
            assert bench.wait(240) == status
        finally:
            bench.kill()
        assert len(children) >= 2
        wait_until(lambda: not any(map(running, children)))
        assert "Traceback" not in bench.stderr.read()
    assert all(row["plan"]["seed"] < 5000 for row in read_rows(rows))


def test_rows_of_before_there_was_a_flat_start_are_rows_without_one(dump, tmp_path):
    rows = tmp_path / "rows.jsonl"
    main(options(dump, rows, "--variants", "dense"))
    written = [json.loads(line) for line in rows.read_text().splitlines()]
    for row in written:
        assert row["plan"].pop("flat_start") == 0
    rows.write_text("".join(json.dumps(row) + "\n" for row in written))
    before = rows.read_bytes()
    main(options(dump, rows, "--variants", "dense"))
    assert rows.read_bytes() == before
    main(options(dump, rows, "--variants", "dense", "espnet", "--flat-start", "2", "--seeds", "1"))
    new = [json.loads(line) for line in rows.read_text().splitlines()][len(written) :]
    assert {(row["variant"], row["plan"]["flat_start"]) for row in new} == {("dense", 2), ("espnet", 2)}
    assert {row["label"] for row in new} == {"dense-flat2", "espnet-flat2"}
    with pytest.raises(UserError, match="--flat-start 4: expected 0 to 3"):
        main(options(dump, rows, "--flat-start", "4"))


def test_a_line_that_is_no_measurement_is_named(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"label": "x"}\n')
    with pytest.raises(UserError, match="rows.jsonl:1: this is no measurement"):
        read_rows(tmp_path / "rows.jsonl")


def test_fast_utterances_are_left_out_and_counted(dump):
    tokenizer = characters(dump / "train")
    assert tokenizer.tokens[2:] == ["<space>", "A", "B", "C"]
    sentences = Sentences.read(dump / "train", tokenizer, torch.device("cpu"), 5.5)
    assert [len(x) for x in sentences.features] == [120, 100]  # 29 and 24 frames of 40 ms for four tokens; not 22, 19
    assert sentences.left_out == 2
    with pytest.raises(UserError, match="no utterance has 99 frames"):
        Sentences.read(dump / "train", tokenizer, torch.device("cpu"), 99)


def test_batches_count_their_padding_and_every_utterance_comes_once_a_pass(dump):
    sentences = Sentences.read(dump / "train", characters(dump / "train"), torch.device("cpu"), 1)
    assert sentences.grouped(2.1) == [[1, 3], [2, 0][:1], [0]]  # 80 and 90 frames; 100; 120: 2 x 120 is above 210
    seen = [len(batch.lengths) for _, batch in zip(range(3), sentences.endless(2.1, 0), strict=False)]
    assert sorted(seen) == [1, 1, 2]
    first = next(sentences.endless(2.1, 5)).lengths.tolist()
    assert first == next(sentences.endless(2.1, 5)).lengths.tolist()


def test_another_attention_is_refused_beside_chunks(dump, tmp_path):
    with pytest.raises(UserError, match="zero-relative: .* --variants dense"):
        main(options(dump, tmp_path / "rows", "--start", "zero-relative", "--variants", "supernet"))


def test_what_a_start_sets_to_zero(fresh_start):
    zeros = {}
    for start in STARTS:
        model = Ours(plan(start=start), 6)
        zeros[start] = {name.split(".", 2)[2] for name, layer in prunable(model) if not layer.weight.any()}
    last = {"ffn1.down", "attention.out", "convolution.project", "ffn2.down"}
    zeros = {start: {name.removeprefix("0.").removeprefix("1.") for name in names} for start, names in zeros.items()}
    assert zeros["zero"] == zeros["zero-normed"] == zeros["zero-scaled"] == last
    assert zeros["zero-relative"] == zeros["zero-attention-dropout"] == last
    assert zeros["random"] == zeros["random-normed"] == set()
    assert zeros["zero-attention"] == {"attention.out"}


def test_the_batch_is_run_by_the_branches_of_the_variant(dump):
    sentences = Sentences.read(dump / "train", characters(dump / "train"), torch.device("cpu"), 1)
    branches = {
        name: set(Ours(plan(name), 6).eval()(sentences.batch([0, 1]))[1]) for name in VARIANTS if name != "espnet"
    }
    pair = {"dense", "sparse"}
    assert branches == {"dense": {"dense"}, "stream": {"sparse"}, "both": pair, "supernet": pair}


def test_bands_hide_bins_of_all_frames_alike():
    torch.manual_seed(0)
    x = hide_bins(torch.ones(50, 7, 80), torch.full((50,), 7))
    assert torch.equal(x, x[:, :1].expand_as(x))
    assert 0 <= (x[:, 0] == 0).sum(dim=1).min() and (x[:, 0] == 0).sum(dim=1).max() <= 30
    assert 8 < (x[:, 0] == 0).sum(dim=1).float().mean() < 16  # two bands of 7.5 on average, that may overlap


def row(seed, rate, updates, cer, label="dense"):
    return {
        "label": label,
        "seed": seed,
        "updates": updates,
        "cer": cer,
        "plan": {"size": "144x6", "learning_rate": rate, "updates": 20},
    }


def test_means_over_seeds_and_the_best_rate_by_hand():
    rows = [row(1, 1e-3, 10, 90.0), row(2, 1e-3, 10, 80.0), row(1, 1e-3, 20, 60.0), row(2, 1e-3, 20, 40.0)]
    rows += [row(1, 3e-4, 10, 70.0), row(1, 3e-4, 20, 55.0)]
    ends = {summary["learning_rate"]: summary for summary in summaries(rows)}
    assert (ends[1e-3]["cer"], ends[1e-3]["spread"], ends[1e-3]["seeds"]) == (50.0, 20.0, 2)
    [curve] = best_rates(rows)
    assert [(point["updates"], point["cer"]) for point in curve] == [(10, 85.0), (20, 50.0)]
    assert [[point["cer"] for point in seed] for seed in seeds_of(rows, curve[0])] == [[90.0, 60.0], [80.0, 40.0]]


def test_trainings_of_other_starts_are_no_seeds_of_each_other():
    rows = [row(1, 1e-3, 20, 50.0), row(1, 1e-3, 20, 70.0)]
    for one, start in zip(rows, ("zero", "random"), strict=True):
        one["plan"]["start"] = start
    ends = summaries(rows)
    assert [(end["start"], end["seeds"], end["cer"]) for end in ends] == [("random", 1, 70.0), ("zero", 1, 50.0)]
    assert [len(seeds_of(rows, curve[0])) for curve in best_rates(rows)] == [1, 1]


def test_a_training_that_was_written_twice_counts_once(tmp_path):
    path = tmp_path / "rows.jsonl"
    written = [row(1, 1e-3, 10, 90.0), row(1, 1e-3, 10, 80.0), row(1, 1e-3, 20, 60.0)]  # killed after its first line
    path.write_text("".join(json.dumps(one) + "\n" for one in written))
    assert [(one["updates"], one["cer"]) for one in read_rows(path)] == [(10, 80.0), (20, 60.0)]

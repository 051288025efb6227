"""Jobs on a real Slurm."""

import re
import signal
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_an_array_and_a_task_that_fails(cluster, tmp_path):
    words = ["--max-jobs-run", 2, "JOB=1:3", tmp_path / "a b.JOB.log", "bash", "-c"]
    done = cluster.run(*words, "echo said JOB on $SLURM_ARRAY_TASK_ID; exit $((JOB == 3 ? 4 : 0))", cwd=tmp_path)
    assert done.returncode == 1 and "1 / 3 failed" in done.stderr
    assert "task 3 ended with status 4" in done.stderr and "    said 3 on 3" in done.stderr
    assert "said 1 on 1" in (tmp_path / "a b.1.log").read_text()


def test_slurm_refuses_in_one_sentence(cluster, tmp_path):
    done = cluster.run("--mem", "999999G", tmp_path / "x.log", "true")
    assert done.returncode == 2 and done.stderr.startswith("error: sbatch refused the job:")
    done = cluster.run("--colour", "red", tmp_path / "x.log", "true")
    assert done.returncode == 2 and "slurm.conf has no line for the option colour=red" in done.stderr


def test_a_wrapper_that_is_stopped_leaves_no_job_behind(cluster, tmp_path):
    process = cluster.start("JOB=1:3", tmp_path / "JOB.log", "sleep", "600")
    cluster.wait_until(lambda: len([state for _, state in cluster.jobs() if state == "R"]) == 3)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=600)
    assert process.returncode == 143
    cluster.wait_until(lambda: cluster.jobs() == [])


def test_a_job_whose_wrapper_was_killed_is_cancelled_by_the_next_run(cluster, tmp_path):
    words = (tmp_path / "x.log", "bash", "-c", f"[[ -e {tmp_path}/second ]] || sleep 600")
    process = cluster.start(*words)
    cluster.wait_until(lambda: any(state == "R" for _, state in cluster.jobs()))
    process.kill()
    process.communicate()
    (tmp_path / "second").touch()
    done = cluster.run(*words)
    assert done.returncode == 0 and "left over from a run that was killed" in done.stderr
    assert cluster.jobs() == []
    assert "left over" not in cluster.run(*words).stderr


def test_a_task_that_is_lost_is_noticed(cluster, tmp_path):
    script = (
        "import sys; from dualmode.cluster import slurm, wrapper; slurm.ASK_S, slurm.GRACE_S = (1.0, 2.0), 0.5; "
        "wrapper.main(slurm.run, sys.argv[1:])"
    )

    process = cluster.start(tmp_path / "x.log", "sleep", "600", program=(sys.executable, "-c", script))
    log = tmp_path / "x.log"
    cluster.wait_until(lambda: log.exists() and "Started" in log.read_text())
    cluster.ask("pkill", "-KILL", "-f", f"dualmode.cluster.task {tmp_path}")  # it cannot write its status any more
    _, err = process.communicate(timeout=600)
    assert process.returncode == 1 and "task 1 ended with status 137" in err


def test_no_machine_waits_for_long_for_one_that_failed(cluster, tmp_path):
    script = (
        "import sys; from dualmode.cluster import slurm, wrapper; slurm.WAIT_S = 2; "
        "wrapper.main(slurm.run, sys.argv[1:])"
    )
    words = ("--num-nodes", 2, tmp_path / "x.log", "srun", "bash", "-c", "[ $SLURM_PROCID = 0 ] || exit 3; sleep 600")
    done = cluster.run(*words, program=(sys.executable, "-c", script))
    assert done.returncode == 1 and "Exited with exit code 3" in (tmp_path / "x.log").read_text()


SAVES = "trap 'exit 75' TERM; echo first; while :; do sleep 0.1; done"  # as a training does


def running(cluster, log) -> str:
    """Return the job's number once its command has said that it runs."""
    cluster.wait_until(lambda: log.exists() and "\nfirst" in log.read_text())
    [[job, _]] = cluster.jobs()
    return job


def test_a_command_that_saved_its_state_is_queued_again(cluster, tmp_path):
    command = (
        "if [[ -e saved ]]; then echo going on; exit 0; fi; "
        "trap 'echo saved > saved; exit 75' USR1; echo first; while :; do sleep 0.1; done"
    )
    process = cluster.start(tmp_path / "x.log", "bash", "-c", command, cwd=tmp_path)
    log = tmp_path / "x.log"
    job = running(cluster, log)
    cluster.ask("scancel", "--batch", "--signal=USR1", job)  # as Slurm does before the time is up
    cluster.wait_until(lambda: "Queued again" in log.read_text())
    cluster.wait_until(lambda: [state for _, state in cluster.jobs()] == ["PD"])
    time.sleep(3)  # a node refuses a job that it has killed in the same second; Slurm itself waits two minutes
    cluster.ask("scontrol", "update", f"JobId={job}", "StartTime=now")
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    assert [line for line in log.read_text().splitlines() if not line.startswith("#")] == ["first", "going on"]


@pytest.mark.parametrize("by", ["the wrapper", "scancel"])
def test_a_cancelled_job_that_saved_its_state_is_not_queued_again(cluster, tmp_path, by):
    process = cluster.start(tmp_path / "x.log", "bash", "-c", SAVES)
    job = running(cluster, tmp_path / "x.log")
    if by == "scancel":
        cluster.ask("scancel", job)
    else:
        process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=600)
    cluster.wait_until(lambda: cluster.jobs() == [])
    log = (tmp_path / "x.log").read_text()
    assert "SIGTERM" in log and "the job was cancelled" in log and "Queued again" not in log
    assert process.returncode == (1 if by == "scancel" else 143), err


@pytest.mark.parametrize("command", [SAVES, "echo first; exec sleep 600"], ids=["saves", "dies"])
def test_a_job_that_slurm_queues_again_has_not_failed(cluster, tmp_path, command):
    """As it does when a node fails, or is needed for what comes first."""
    words = f"[[ ! -e again ]] || exit 0; touch again; {command}"
    process = cluster.start(tmp_path / "x.log", "bash", "-c", words, cwd=tmp_path)
    job = running(cluster, tmp_path / "x.log")
    cluster.ask("scontrol", "requeue", job)
    cluster.wait_until(lambda: [state for _, state in cluster.jobs()] == ["PD"])
    time.sleep(3)
    cluster.ask("scontrol", "update", f"JobId={job}", "StartTime=now")
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    log = (tmp_path / "x.log").read_text()
    assert log.count("Queued again") == 1 and log.count("Finished") == 1


def test_the_recipes_commands_run_as_jobs(cluster, tmp_path):
    """Features of a small set as an array of jobs are those of one process."""
    import numpy as np
    import soundfile

    random, data = np.random.default_rng(0), tmp_path / "data"
    data.mkdir()
    for name in ("u1", "u2", "u3"):
        soundfile.write(data / f"{name}.wav", random.uniform(-0.1, 0.1, 16000), 16000)
    (data / "wav.scp").write_text("".join(f"{name} {data / name}.wav\n" for name in ("u1", "u2", "u3")))
    (data / "text").write_text("u1 a\nu2 b\nu3 c\n")
    (data / "utt2spk").write_text("u1 s\nu2 s\nu3 s\n")
    make = (sys.executable, "-m", "dualmode.bin.make_fbank", "--data", str(data))
    slurm = str(ROOT / "tools/cluster/slurm.pl")
    jobs = ["--cmd", f"'{slurm}' --mem 100M", "--nj", 2, "--log", tmp_path / "log"]
    for out, more in (("alone", []), ("jobs", jobs)):
        done = cluster.run("--out", tmp_path / out, *more, program=make)
        assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "log").glob("make_fbank_jobs.*.log"))) == 2
    for name in ("shards/00001.ark", "text", "utt2num_frames"):
        assert (tmp_path / "alone" / name).read_bytes() == (tmp_path / "jobs" / name).read_bytes()


def test_training_on_two_machines_is_queued_again_and_goes_on(cluster, tmp_path):
    """espnet2.bin.launch starts a process on each of two nodes; when the time is nearly up, both save their batch."""
    import json

    import kaldiio
    import numpy as np
    import yaml

    random, data = np.random.default_rng(0), tmp_path / "dump"
    data.mkdir()
    matrices = {f"u{number}": random.normal(size=(60 + number, 80)).astype(np.float32) for number in range(8)}
    kaldiio.save_ark(str(data / "feats.ark"), matrices, scp=str(data / "feats.scp"))
    (data / "speech_shape").write_text("".join(f"{utt} {len(matrix)},80\n" for utt, matrix in matrices.items()))
    (tmp_path / "cmvn.json").write_text(json.dumps({"frames": 1, "mean": [0.0] * 80, "std": [1.0] * 80}))
    encoder = {
        "output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 4,
        "kernel_size": 3, "chunk_ms": [160], "left_ms": [320],
    }  # fmt: skip
    conf = {
        "encoder_conf": encoder, "model_conf": {"entries": 8, "target_size": 8, "distractors": 5}, "max_epoch": 1,
        "batch_type": "length", "batch_bins": 400, "num_workers": 0, "num_iters_per_epoch": 400, "optim": "adamw",
        "best_model_criterion": [["valid", "loss", "min"]], "num_att_plot": 0, "use_tensorboard": False,
        "use_matplotlib": False,
    }  # fmt: skip
    (tmp_path / "pretrain.yaml").write_text(yaml.safe_dump(conf))
    out = tmp_path / "exp"
    launch = (
        *(sys.executable, "-m", "espnet2.bin.launch", "--cmd", str(ROOT / "tools/cluster/slurm.pl"), "--log"),
        *(str(out / "job.log"), "--ngpu", "0", "--num_nodes", "2"),
        *("--init_file_prefix", str(out / ".dist_init_"), "--"),
        *(sys.executable, "-m", "dualmode.bin.pretrain", "--config", str(tmp_path / "pretrain.yaml")),
        *("--train", str(data), "--valid", str(data), "--cmvn", str(tmp_path / "cmvn.json"), "--out", str(out)),
    )
    process = cluster.start(program=launch)
    job_log = out / "job.log"
    cluster.wait_until(lambda: job_log.exists() and "training, updates: " in job_log.read_text(), 600)
    [[job, _]] = cluster.jobs()
    cluster.ask("scancel", "--batch", "--signal=USR1", job)
    cluster.wait_until(lambda: "Queued again" in job_log.read_text())
    cluster.wait_until(lambda: [state for _, state in cluster.jobs()] == ["PD"])
    time.sleep(3)
    cluster.ask("scontrol", "update", f"JobId={job}", "StartTime=now")
    _, err = process.communicate(timeout=600)
    log = job_log.read_text()
    assert process.returncode == 0, err + log
    [saved] = re.findall(r"told to stop: update (\d+)/400 of epoch 1 is saved", log)
    assert log.count(f"going on after update {saved}/400 of epoch 1") == 1  # the first of two processes says so
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert config["distributed"] and config["dist_launcher"] == "slurm"
    assert config["dist_init_method"].endswith(".restart1")  # what processes of before left would lead nowhere
    assert log.count("epoch 1/1 valid") == 1
    assert (out / "1epoch.pth").is_file()

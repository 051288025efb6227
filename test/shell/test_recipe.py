"""The shell of the recipe, with a stub for Python: options, steps done once, interruptions, the lock."""

import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# The stub is called once for each: prepare, 3 validations, tokens, 3 features, cmvn, 3 models, 2 decodings, report.
STEPS = 15


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and waits for its parent to notice does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# --- options --------------------------------------------------------------------------------------


def test_help_explains_every_option_without_an_environment(corpus):
    text = corpus.run("--help", DUALMODE_VENV="/nonexistent")
    for option in re.findall(r"^  (?:option|flag) ([a-z-]+)", (ROOT / "egs/common/recipe.sh").read_text(), re.M):
        assert f"\n  --{option}" in text
    assert "--size N\n        how much of it (default: 3)" in text
    assert "pre-training" in text
    assert not (corpus.folder / "exp").exists()


@pytest.mark.parametrize(
    "recipe", ["run.sh", *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("egs/*/run.sh"))]
)
def test_help_of_the_real_recipes(recipe):
    terminal = os.environ | {"COLUMNS": "72"}
    done = subprocess.run([ROOT / recipe, "--help"], capture_output=True, text=True, check=True, env=terminal)
    assert "--stop-stage N" in done.stdout and done.stderr == ""
    assert max(map(len, done.stdout.splitlines())) <= 72
    by_sh = subprocess.run(["sh", ROOT / recipe, "--help"], capture_output=True, text=True, check=True, env=terminal)
    assert (by_sh.stdout, by_sh.stderr) == (done.stdout, "")


def test_words_of_the_help_s_headings_are_no_options(corpus):
    headings = re.findall(r'^ *heading "([^"]*)"', (ROOT / "egs/common/recipe.sh").read_text(), re.M)
    words = sorted(set(re.findall("[a-z]+", " ".join(headings).lower())))
    assert "run" in words
    for word in words:
        assert corpus.run(f"--{word}", status=2).startswith(f"error: unknown option --{word}")


def test_a_file_of_the_caller_s_folder_is_found_where_its_path_begins_like_the_repository_s(corpus, tmp_path):
    """Beside house, house2: the beginning of its path is no folder that holds it."""
    house = tmp_path / "house"
    shutil.copytree(ROOT / "egs/common", house / "egs/common")
    corpus = type(corpus)(house / "egs/fake")
    run_sh = corpus.folder / "run.sh"
    run_sh.write_text(run_sh.read_text().replace(str(ROOT), str(house)))
    for place in ("house2", "house/deeper"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "my.yaml").write_text("seed: 1\n")
        output = corpus.run("--asr-config", "my.yaml", "--stop-stage", "4", "--dry-run", cwd=tmp_path / place)
        assert "12 steps would run" in output


def test_a_comma_in_the_work_folder_is_refused_before_any_work(corpus, tmp_path):
    output = corpus.run("--work-dir", str(tmp_path / "a, b"), status=2)
    assert output.startswith("error: --work-dir ") and "has a comma in its path, at which ESPnet would cut it" in output
    assert corpus.new_calls() == []


def test_a_work_folder_whose_name_is_not_utf8_is_refused_before_any_work(corpus, tmp_path):
    place = tmp_path / os.fsdecode(b"caf\xe9")
    for options in (["--work-dir", str(place)], ["--work-dir", str(place / "ü"), "--dry-run"]):
        output = corpus.run(*options, status=2)
        assert output.startswith("error: the work folder $'") and r"caf\351" in output and "is not UTF-8" in output
    assert corpus.new_calls() == [] and not place.exists()
    assert "12 steps would run" in corpus.run("--work-dir", str(tmp_path / "ü"), "--stop-stage", "4", "--dry-run")
    corpus.folder = corpus.folder.rename(place)
    corpus.environment["DUALMODE_VENV"] = "/nowhere"
    assert r"caf\351' has a name that is not UTF-8" in corpus.run("--dry-run", status=2)


def test_an_option_that_is_given_twice_is_told(corpus):
    output = corpus.run("--seed", "1", "--dry-run", "--dry-run", "--seed=2")
    assert "--seed is given twice, and the last one counts" in output and "dry-run is given" not in output


def test_jobs_are_as_many_as_cores_whatever_threads_a_job_has(corpus):
    text = corpus.run("--help", OMP_NUM_THREADS=str(len(os.sched_getaffinity(0)) + 1))
    default = f"(default: {len(os.sched_getaffinity(0))})"
    assert f"processes for data and features {default}" in " ".join(text.split())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--nonsense", "1"], "unknown option --nonsense, see --help"),
        (["--$(touch x)"], "unknown option --$(touch x), see --help"),
        (["--stop-stgae", "1"], "unknown option --stop-stgae: did you mean --stop-stage? --help lists all options"),
        (["--workdir=x"], "unknown option --workdir: did you mean --work-dir? --help lists all options"),
        (["--sise", "4"], "unknown option --sise: did you mean --size? --help lists all options"),  # of the corpus
        (["--dry"], "unknown option --dry: did you mean --dry-run? --help lists all options"),
        (["--hlep"], "unknown option --hlep: did you mean --help? --help lists all options"),
        (["-stage", "1"], "unknown option -stage: did you mean --stage? --help lists all options"),
        (["--max_epoch", "1"], "unknown option --max_epoch, see --help"),
        (["-x"], "unknown option -x, see --help"),
        (["--"], "unknown option --, see --help"),
        (
            ["--asr-args", "--max_epoch", "7"],
            "unexpected word '7': options start with --, and a value of several words stands in quotes; see --help",
        ),
        (["--stage"], "--stage needs a value (N)"),
        (["--stage", "--stop-stage", "3"], "--stage needs a value (N)"),
        (["--force=yes"], "--force takes no value"),
        (["--stage", "two"], "--stage is 'two': it must be a whole number of at least 0"),
        (["--stage=-1"], "--stage is '-1': it must be a whole number of at least 0"),
        (["--jobs", "0"], "--jobs is '0': it must be a whole number of at least 1"),
        (["--stop_stage", "8"], "--stop-stage is 8: the stages are 0 to 7"),
        (["--stage", "9"], "--stage is 9: the stages are 0 to 7"),
        (
            ["--stage", "3", "--stop-stage", "2"],
            "--stage 3 comes after --stop-stage, which is 2: say --stop-stage 3 too, or begin earlier",
        ),
        (
            ["--stage", "7"],
            "--stage 7 comes after --stop-stage, which is 6: say --stop-stage 7 too, or begin earlier",
        ),
        (["--max-rejected", "all"], "--max-rejected is 'all': it must be at least 0 and at most 100 percent"),
        (["--label-share", "0"], "--label-share is '0': it must be above 0 and at most 100 percent"),
        (["--speeds", "0.9,fast"], "--speeds is '0.9,fast': it must be factors from 0.5 to 2, such as 0.9,1.0,1.1"),
        (["--speeds="], "--speeds is '': for the training set as it is, say --speeds 1.0"),
        (
            ["--decode-configs", "conf/decode_dense.yaml ./conf/decode_dense.yaml"],
            "--decode-configs names two files that would decode into the same folder, decode_dense_SET: rename one",
        ),
        (["--tag", "a/b"], "--tag is 'a/b': letters, digits, '.', '_' and '-' make a good folder name"),
        (["--feature-bytes", "3"], "--feature-bytes is '3': it must be 4, 2 or 1"),
        (["--vocab-size", "50"], "--vocab-size is for --token-type bpe, and the tokens here are of type char"),
        (["--decode-device", "gpu"], "--decode-device is 'gpu': it must be cpu, cuda, or one GPU such as cuda:1"),
        (["--nj", "4"], "--nj 4 is of a cluster: say cmd_backend=slurm in front of the command"),
        (["--token-type", "phone"], "--token-type is 'phone': it must be char, word or bpe"),
    ],
)
def test_a_bad_option_is_one_sentence(corpus, options, sentence):
    assert corpus.run(*options, status=2) == f"error: {sentence}\n"
    assert corpus.new_calls() == []


def test_a_missing_configuration_stops_before_any_work(corpus):
    output = corpus.run("--asr-config", "conf/none.yaml", status=2)
    assert output.startswith("error: there is no file conf/none.yaml (--asr-config): it is looked for in ")
    assert corpus.new_calls() == []


def test_a_missing_environment_is_named(corpus):
    assert "there is no Python environment /nonexistent" in corpus.run(status=2, DUALMODE_VENV="/nonexistent")


@pytest.mark.parametrize("stop", [["--stop-stage", "0"], ["--stop_stage=0"], ["--stop-stage=0"]])
def test_spellings_of_an_option(corpus, stop):
    corpus.run(*stop)
    assert corpus.new_calls() == ["prepare"] + 3 * ["validate_data"]


def test_values_reach_the_commands(corpus):
    corpus.run(
        "--asr-args", "--max_epoch 3\n --accum_grad 2", "--seed", "5", "--size=4", "--ngpu", "1", "--feature-bytes=2"
    )
    calls = corpus.calls_file.read_text()
    assert "local/prepare.py --out . --size 4 --jobs" in calls
    training = re.search(r"^-m dualmode.bin.asr_train .*$", calls, re.M)[0]
    assert training.endswith("--out exp/asr_base --seed 5 --max_epoch 3 --accum_grad 2 --ngpu 1")
    report = re.search(r"^-m dualmode.bin.report .*$", calls, re.M)[0]
    made = re.findall(r"^-m dualmode.bin.make_fbank .*$", calls, re.M)
    assert len(made) == 3 and all("--value-bytes 2" in call for call in made)
    assert "--size 4" in report and "--ngpu" not in report  # what was made, not where


def test_each_gpu_of_a_machine_has_a_process_of_its_own(corpus):
    corpus.run("--ngpu", "2")
    trainings = re.findall(r"^-m dualmode.bin.(?:pretrain|asr_train) .*$", corpus.calls_file.read_text(), re.M)
    assert trainings and all(call.endswith("--ngpu 2 --multiprocessing_distributed true") for call in trainings)


def test_a_configuration_in_the_callers_folder(corpus, tmp_path):
    (tmp_path / "mine.yaml").write_text("mine: 1\n")
    corpus.run("--prune-config", "mine.yaml", cwd=tmp_path)
    assert f"--config {tmp_path}/mine.yaml --model exp/pretrain_base" in corpus.calls_file.read_text()


# --- steps are done once --------------------------------------------------------------------------


def test_the_whole_recipe_then_nothing_twice(corpus):
    output = corpus.run()
    assert len(corpus.new_calls()) == STEPS
    table = "s\nstub report\nset   WER\ntest  1.2\n"
    assert output.endswith(table) and output.count("WER") == 1
    assert re.search(r"^[\d-]{10} [\d:]{8} \(recipe\.sh:\d+\) stage 2: pre-training: starting$", output, re.M)
    assert (corpus.folder / "exp" / "log" / "pretrain_base.log").read_text().endswith("stub pretrain\n")

    again = corpus.run()
    assert corpus.new_calls() == []
    assert again.count("done already") == STEPS and again.endswith(table)
    assert "stage 2: pre-training: done already (exp/pretrain_base), skipping" in again


def test_configurations_are_looked_at_before_any_work_and_again_when_they_change(corpus):
    checks = corpus.folder / "calls.checks"
    output = corpus.run(status=2, STUB_FAIL="check_config")
    sentence = (
        "error: the configuration was refused: the stub does not like asr.yaml (log: exp/log/check_config_base.log)\n"
    )
    assert output.endswith(sentence) and "stage" not in output
    assert "the stub does not like asr.yaml" in (corpus.folder / "exp/log/check_config_base.log").read_text()
    assert corpus.new_calls() == [] and not (corpus.folder / "data").exists()
    corpus.run("--stop-stage", "1", STUB_FAIL="check_config")  # stages without these configurations
    corpus.run()
    corpus.run()
    assert len(checks.read_text().splitlines()) == 2
    assert "--pretrain conf/tuning/pretrain.yaml" in checks.read_text()
    (corpus.folder / "conf/decode_dense.yaml").write_text("name: another\n")
    corpus.run()
    corpus.run("--from-scratch", "--tag", "new", "--stop-stage", "4")
    last = checks.read_text().splitlines()[2:]
    assert len(last) == 2 and "--pretrain" not in last[1]


def test_from_scratch_a_fine_tuning_without_sizes_has_those_of_the_pre_training(corpus):
    calls = corpus.folder / "calls"
    corpus.run("--from-scratch", "--stop-stage", "4")
    assert "--encoder-from conf/tuning/pretrain.yaml" in calls.read_text()
    (corpus.folder / "conf/tuning/asr.yaml").write_text("encoder_conf:\n  output_size: 16\n")
    corpus.new_calls()
    corpus.run("--from-scratch", "--stop-stage", "4")
    assert "asr_train" in calls.read_text() and "--encoder-from" not in calls.read_text()


@pytest.mark.parametrize(
    ("options", "made"),
    [
        (("--pretrain-tag", "base"), ["prune", "asr_train"]),
        (("--prune-asr", "base"), ["prune", "asr_train"]),
        (("--prune-tag", "base"), ["asr_train"]),
        (("--from-scratch",), ["asr_train"]),
    ],
)
def test_what_nothing_starts_from_is_not_made(corpus, options, made):
    corpus.run("--stop-stage", "4")
    corpus.new_calls()
    output = corpus.run("--stop-stage", "4", "--tag", "other", *options)
    assert corpus.new_calls() == made
    assert output.count(f"({options[0]})") == 3 - len(made)


def test_a_comment_in_a_configuration_redoes_nothing_and_a_value_does(corpus):
    corpus.run()
    corpus.new_calls()
    config = corpus.folder / "conf/tuning/asr.yaml"
    config.write_text("# Stage 4, as the paper's\n\n" + config.read_text().rstrip() + "   # a remark\n")
    corpus.run()
    assert corpus.new_calls() == []
    config.write_text(config.read_text().replace("tuning/asr", "tuning/another"))
    corpus.run()
    assert "asr_train" in corpus.new_calls()


def test_a_step_whose_configurations_were_counted_by_their_bytes_stays_done(corpus):
    """As steps were noted before comments stopped counting."""
    for config in (corpus.folder / "conf").rglob("*.yaml"):
        config.write_text("# a remark\n" + config.read_text())
    corpus.run()
    corpus.new_calls()
    for marker in (corpus.folder / "exp").rglob("*"):
        if not marker.is_file() or "finished " not in marker.read_text(errors="ignore"):
            continue
        lines = marker.read_text().splitlines()
        for number, line in enumerate(lines):
            if line.startswith("file ") and ".yaml " in line:
                name = line.split(" ")[1]
                digest = hashlib.sha256((corpus.folder / name).read_bytes()).hexdigest()[:16]
                assert not line.endswith(digest)
                lines[number] = f"file {name} {digest}"
        stamp = marker.stat()
        marker.write_text("\n".join(lines) + "\n")
        os.utime(marker, (stamp.st_atime, stamp.st_mtime))
    output = corpus.run("--stop-stage", "2")
    assert "done already" in output and corpus.new_calls() == []


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a: 1 # x\n", "a: 1\n", True),
        ("# it's\na: 1\n\n", "a: 1  \n", True),
        ("a: b#c\n", "a: b#d\n", False),
        ('a: "x #c" # k\n', 'a: "x #d"\n', False),
        ("a: |\n  # t\n", "a: |\n  # u\n", False),
        ("- >-\n  # t\n", "- >-\n  # u\n", False),
        ("a:\n  b: 1\n", "a:\nb: 1\n", False),
    ],
)
def test_what_a_configuration_means(tmp_path, one, other, same):
    digests = []
    for text in (one, other):
        (tmp_path / "x.yaml").write_text(text)
        command = f'source "{ROOT}/egs/common/steps.sh"; meaning "{tmp_path}/x.yaml"'
        digests.append(subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout)
    assert (digests[0] == digests[1]) == same and len(digests[0]) == 17


def test_what_does_not_change_results_redoes_nothing(corpus):
    corpus.run()
    corpus.new_calls()
    corpus.run("--jobs", "7", "--ngpu", "0")
    assert corpus.new_calls() == []


def test_a_changed_configuration_redoes_what_depends_on_it(corpus):
    corpus.run()
    corpus.new_calls()
    (corpus.folder / "conf/tuning/asr.yaml").write_text("name: another\n")
    output = corpus.run()
    assert corpus.new_calls() == ["asr_train", "asr_inference", "asr_inference", "report"]
    assert "stage 4: fine-tuning: again, since this changed: file conf/tuning/asr.yaml" in output
    assert "decode_dense_test: again, since this changed: file exp/.done/asr_base" in output
    kept = list((corpus.folder / "exp").glob("asr_base.old-*"))
    assert len(kept) == 1 and (kept[0] / "decode_sparse_test" / "text").exists()
    assert (corpus.folder / "exp/asr_base/epochs").read_text() == "epoch\n"  # nothing of the old one is in it


def test_a_changed_option_is_named(corpus):
    corpus.run("--stop-stage", "2")
    assert "pre-training: again, since this changed: the command" in corpus.run("--stop-stage", "2", "--seed", "1")


@pytest.mark.parametrize(("line", "same"), [("", True), ("seed: 0  # of both\n", True), ("seed: 10\n", False)])
def test_a_seed_of_0_is_that_of_a_training_without_one_unless_its_configuration_names_another(corpus, line, same):
    """Older versions passed --seed 0 on where none was given."""
    config = corpus.folder / "conf/tuning/pretrain.yaml"
    config.write_text(config.read_text() + line)
    corpus.run("--stop-stage", "2", "--seed", "0")
    assert "--out exp/pretrain_base --seed 0" in corpus.calls_file.read_text()
    corpus.new_calls()
    for options in ([], ["--seed", "0"]):
        output = corpus.run("--stop-stage", "2", *options)
        calls = corpus.calls_file.read_text() if corpus.calls_file.exists() else ""
        assert ("--seed" in calls) == (not same and bool(options))
        assert corpus.new_calls() == ([] if same else ["pretrain"]), output


def test_a_lost_output_is_made_again(corpus):
    corpus.run()
    corpus.new_calls()
    (corpus.folder / "exp/asr_base/decode_dense_test/text").unlink()
    assert "since exp/asr_base/decode_dense_test/text is not there" in corpus.run()
    assert corpus.new_calls() == ["asr_inference", "report"]


def test_stage_7_runs_every_precision_in_every_runtime_and_scores_again(corpus):
    corpus.run()
    calls = corpus.new_calls()
    assert "export" not in calls
    output = corpus.run("--stage", "7", "--stop-stage", "7")
    each = ["pack_device", "device_inference", "device_inference"]
    assert corpus.new_calls() == ["export", *each, *each, "report"]
    assert output.rstrip().endswith("test  1.2")
    corpus.run("--stage", "7", "--stop-stage", "7")
    assert corpus.new_calls() == []


def test_features_that_were_cut_off_are_made_again(corpus):
    corpus.run("--stop-stage", "1")
    corpus.new_calls()
    (corpus.folder / "dump/train/feats.scp").write_text("of another length\n")
    output = corpus.run("--stop-stage", "1")
    assert "features of train: again, since feats.scp is not as it was left" in output
    assert "make_fbank" in corpus.new_calls()
    assert "features of train: done already" in corpus.run("--stop-stage", "1")


def test_other_options_that_fail_throw_no_training_away(corpus):
    """The data are made with other options, and again as they were: what was trained on them is still of them."""
    corpus.run()
    corpus.new_calls()
    corpus.run("--size", "9", "--stop-stage", "0", STUB_FAIL="prepare", status=3)
    corpus.new_calls()
    assert "the corpus: starting" in (output := corpus.run()) and "what follows stays done" in output
    assert corpus.new_calls() == ["prepare"]
    assert not list((corpus.folder / "exp").glob("*.old-*"))
    corpus.run("--size", "9", "--stop-stage", "0")  # which ends well: all is of other data now
    corpus.new_calls()
    corpus.run()
    assert "pretrain" in corpus.new_calls()


def test_a_forced_run_that_failed_is_not_taken_for_the_one_before(corpus):
    corpus.run()
    corpus.run("--force", "--stop-stage", "0", STUB_FAIL="prepare", status=3)
    corpus.new_calls()
    corpus.run()
    assert "pretrain" in corpus.new_calls()


def test_a_later_version_of_the_preparation_throws_no_training_away(corpus, tmp_path):
    """The same lists of a corpus's own recordings.  Recordings that the recipe writes may be others."""
    audio = {"STUB_AUDIO": str(tmp_path / "corpus/utt.flac")}
    corpus.run(**audio)
    for version in ("# another comment\n", "# and another\n"):
        (corpus.folder / "local/prepare.py").write_text(version)
        corpus.new_calls()
        output = corpus.run(**audio)
        assert "the corpus: again, since this changed: file local/prepare.py" in output
        assert "the corpus: as it was before, and what follows stays done" in output
        assert corpus.new_calls() == ["prepare"]
    assert "the corpus: done already" in corpus.run(**audio)

    (corpus.folder / "data/train/utt2dur").write_text("utt 2.0\n")
    corpus.run(**audio)  # has the durations validated
    for change in ("another command", "longer recordings"):
        corpus.new_calls()
        if change == "longer recordings":
            (corpus.folder / "local/prepare.py").write_text("# once more\n")
            (corpus.folder / "data/train/utt2dur").write_text("utt 4.0\n")
        output = corpus.run("--size", "9", **audio)
        assert "what follows stays done" not in output and "pretrain" in corpus.new_calls()

    own = {"STUB_AUDIO": str(corpus.folder / "data/audio/utt.flac")}
    corpus.run("--size", "10", **own)
    (corpus.folder / "local/prepare.py").write_text("# which may write something else\n")
    corpus.new_calls()
    corpus.run("--size", "10", **own)
    assert "pretrain" in corpus.new_calls()


def test_lists_behind_links_are_compared_too(corpus):
    (corpus.folder / "elsewhere").mkdir()
    (corpus.folder / "data").symlink_to("elsewhere")
    corpus.run()
    lists = (corpus.folder / "exp/.done/prepare.lists").read_text()
    assert lists.count("/wav.scp\n") == 3 and lists.count("/text\n") == 3


def test_stage_7_has_the_sub_network_of_a_decoding(corpus):
    options = ("--stage", "0", "--stop-stage", "7")
    sentence = corpus.run(*options, "--device-decode", "dense", status=2)
    assert "decode_dense.yaml (--device-decode) has no line chunk_ms: with a number" in sentence
    (corpus.folder / "conf/decode_sparse.yaml").write_text("sparsity: 0.8\nchunk_ms: 320 # ms\nleft_ms: 640\n")
    corpus.run(*options)
    calls = (corpus.folder / "calls").read_text().splitlines()
    [export] = [call for call in calls if "bin.export" in call]
    assert "--sparsity 0.8 --chunk-ms 320 --left-ms 640 --lookahead-ms 0 --int8" in export
    assert "it must be a decoding of stage 5" in corpus.run(*options, "--device-decode", "other", status=2)
    only = ("--decode-configs", "conf/decode_dense.yaml")  # of what was decoded before, and is not asked for now
    assert "which is not among --decode-configs" in corpus.run(*options, *only, status=2)


def test_force_starts_the_stages_asked_for_from_scratch(corpus):
    corpus.run()
    corpus.new_calls()
    corpus.run("--force", "--stage", "2", "--stop-stage", "2")
    assert corpus.new_calls() == ["pretrain"]
    assert (corpus.folder / "exp/pretrain_base/epochs").read_text() == "epoch\n"
    assert len(list((corpus.folder / "exp").glob("pretrain_base.old-*"))) == 1
    assert "since this changed: file exp/.done/pretrain_base" in corpus.run()


def test_a_later_stage_needs_the_earlier_ones(corpus):
    output = corpus.run("--stage", "3", status=2)
    assert "error: stage 3 needs exp/.done/pretrain_base, the mark of a step that is not done yet: begin with" in output


def test_two_experiments_from_one_pre_training(corpus):
    corpus.run()
    calls = corpus.calls_file.read_text().splitlines()
    corpus.new_calls()
    corpus.run("--tag", "other", "--prune-tag", "base", "--stage", "4", "--stop-stage", "5")
    again = corpus.calls_file.read_text().splitlines()
    assert corpus.new_calls() == ["asr_train", "asr_inference", "asr_inference"]
    (before,), (after,) = ([call for call in many if "asr_train" in call] for many in (calls, again))
    assert after == before.replace("exp/asr_base", "exp/asr_other")


def test_a_work_folder_elsewhere(corpus, tmp_path):
    corpus.run("--work-dir", "else where", "--stop-stage", "4", cwd=tmp_path)
    assert (tmp_path / "else where" / "exp" / "asr_base" / "config.yaml").exists()
    assert not (corpus.folder / "exp").exists() and not (corpus.folder / "data").exists()


def test_a_work_folder_that_was_moved_goes_on_under_its_name_of_before(corpus, tmp_path):
    before, after = tmp_path / "old disk", tmp_path / "new disk"
    corpus.run("--work-dir", str(before), "--stop-stage", "4")
    corpus.new_calls()
    before.rename(after)
    for dry in ([], ["--dry-run"]):
        sentence = corpus.run("--work-dir", str(after), "--stop-stage", "4", *dry, status=2)
        assert sentence.startswith(f"error: {after} was {before} when its steps were done")
        assert f"(ln -s '{after}' '{before}')" in sentence
    before.symlink_to(after)
    for name in (before, after):
        corpus.run("--work-dir", str(name), "--stop-stage", "4")
        assert corpus.new_calls() == []
    before.unlink()
    (after / "exp/.done/.place").unlink()
    corpus.run("--work-dir", str(after), "--stop-stage", "4")
    assert "pretrain" in corpus.new_calls()


def test_a_corpus_whose_own_folder_was_moved_says_so(corpus, tmp_path):
    before, after = corpus.folder, tmp_path / "elsewhere"
    corpus.run("--stop-stage", "4")
    corpus.new_calls()
    shutil.copytree(before, tmp_path / "copy", symlinks=True)
    before.rename(after)
    environment = {"DUALMODE_VENV": str(after / "env"), "CALLS": str(corpus.calls_file)}
    corpus.folder, corpus.calls_file = after, after / "calls"
    for dry in ([], ["--dry-run"]):
        sentence = corpus.run("--stop-stage", "4", *dry, status=2, **environment)
        assert sentence.startswith(f"error: {after} was {before} when its steps were done") and " ln -sn " in sentence
    before.symlink_to(after)
    corpus.run("--stop-stage", "4", **environment)
    assert corpus.new_calls() == []
    corpus.folder = tmp_path / "copy"  # of one that is still there
    corpus.run("--stop-stage", "4", **environment)


def test_a_work_folder_belongs_to_one_recipe(corpus, tmp_path):
    place = tmp_path / "work/exp/.done/.place"
    corpus.run("--work-dir", str(tmp_path / "work"), "--stop-stage", "4")
    place.write_text(place.read_text().replace(corpus.folder.name, "another"))
    corpus.new_calls()
    assert "is the work folder of the recipe another" in corpus.run("--work-dir", str(tmp_path / "work"), status=2)
    assert corpus.new_calls() == []
    corpus.run("--work-dir", str(tmp_path / "work"), "--stage", "2", "--stop-stage", "4")  # which makes no data


def test_replay_of_a_training(corpus):
    corpus.run("--stop-stage", "2")
    subprocess.run([corpus.folder / "exp/pretrain_base/run.sh", "--more"], check=True, env=corpus.environment)
    first, replay = [line for line in corpus.calls_file.read_text().splitlines() if "bin.pretrain" in line]
    assert replay == f"{first} --more"


def test_sets_without_text_are_for_pretraining_only(corpus):
    script = corpus.folder / "run.sh"
    script.write_text(script.read_text().replace("test_sets=(test)", "test_sets=(test) pool_sets=(train more)"))
    corpus.run(STUB_UNLABELLED="more")
    calls = corpus.calls_file.read_text()
    assert "validate_data data/more --no-text --read-audio --max-rejected 1" in calls
    assert "make_fbank --data data/more --out dump/more --jobs" in calls
    assert "bin.pretrain --config conf/tuning/pretrain.yaml --train dump/train --train dump/more --valid" in calls
    assert calls.count("dump/more") == 2
    assert "pre-training: done already" in corpus.run()


def test_a_corpus_looks_at_its_options_and_adds_remarks(corpus):
    script = corpus.folder / "run.sh"
    own = "own_checks() { ((size < 9)) || die 'too much'; test_sets=(valid); }\nown_notes() { notes+=(small); }\nrecipe"
    script.write_text(script.read_text().replace('recipe "$@"', f'{own} "$@"'))
    assert corpus.run("--size", "10", status=2) == "error: too much\n"
    assert corpus.new_calls() == []
    corpus.run()
    calls = corpus.calls_file.read_text()
    assert "--data dump/valid --out exp/asr_base/decode_dense_valid" in calls
    assert "--note Nothing was recognised. --note small" in calls
    corpus.new_calls()
    corpus.run("--stage", "6", "--stop-stage", "7", "--force")
    assert "--note small --note small" not in corpus.new_calls()


# --- the model: fine-tuning, sub-networks ------------------------------------------------------------


@pytest.fixture
def trained(tmp_path):
    """A folder that looks like a trained recogniser."""
    folder = tmp_path / "a model"
    (folder / "tokens").mkdir(parents=True)
    for name in ("config.yaml", "latest.pth", "tokens/tokens.txt", "tokens/tokens.json"):
        (folder / name).write_text(name)
    return folder


def test_fine_tuning_keeps_tokens_mean_and_variance(corpus, trained):
    (corpus.folder / "conf/tuning/finetune.yaml").write_text("name: finetune\n")
    output = corpus.run("--init-asr", str(trained), "--stop-stage", "5")
    calls = corpus.calls_file.read_text()
    names = corpus.new_calls()
    assert not {"make_tokens", "compute_cmvn", "pretrain", "prune"} & set(names) and "asr_train" in names
    training = next(call for call in calls.splitlines() if "asr_train" in call)
    tokens = f"--tokens {trained}/tokens --init {trained} --out exp/asr_finetune"
    assert "--config conf/tuning/finetune.yaml" in training and tokens in training and "--cmvn" not in training
    assert calls.count(f"--tokens {trained}/tokens --speeds") == 1
    assert f"stage 2: not needed, fine-tuning starts from {trained}" in output
    assert f"--init {trained}" in (corpus.folder / "calls.checks").read_text()
    corpus.run("--init-asr", str(trained), "--stop-stage", "5")
    assert corpus.new_calls() == []
    (trained / "latest.pth").write_text("trained further")
    corpus.run("--init-asr", str(trained), "--stop-stage", "5")
    assert corpus.new_calls() == ["asr_train", "asr_inference", "asr_inference"]


def test_fine_tuning_with_tokens_and_statistics_of_the_corpus(corpus, trained):
    config = ["--asr-config", "conf/tuning/asr.yaml", "--tag", "own"]
    corpus.run("--init-asr", str(trained), "--new-tokens", "--new-cmvn", "--stop-stage", "4", *config)
    calls = corpus.calls_file.read_text()
    words = f"--tokens data/token_list --cmvn data/cmvn.json --init {trained} --out exp/asr_own"
    assert words in calls and "make_tokens" in calls and "compute_cmvn" in calls


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--init-asr", "nothing"], "there is no folder {folder}/nothing (--init-asr)"),
        (
            ["--init-asr", "local"],
            "{folder}/local is no model folder: it has no config.yaml and no subnet.json (--init-asr)",
        ),
        (["--new-cmvn"], "--new-tokens and --new-cmvn go with --init-asr"),
        (["--sparsities", "70"], "--sparsities is '70': it must be shares of the weights below 1, such as 0.5,0.7"),
        (
            ["--sparsities", "0.5,x"],
            "--sparsities is '0.5,x': it must be shares of the weights below 1, such as 0.5,0.7",
        ),
        (["--chunk-ms", "0"], "--chunk-ms is '0': it must be whole numbers of ms, such as 320,640"),
    ],
)
def test_a_bad_model_is_one_sentence(corpus, options, sentence):
    assert corpus.run(*options, status=2) == f"error: {sentence.format(folder=corpus.folder)}\n"


def test_sparsities_and_chunks_reach_all_stages(corpus):
    for name, text in (
        ("dense", "sparsity: 0.0\nchunk_ms: null\n"),
        ("sparse", "sparsity: 0.7  # most\nchunk_ms: 640\n"),
    ):
        (corpus.folder / f"conf/decode_{name}.yaml").write_text(text)
    corpus.run("--sparsities", "0.5,0.8", "--chunk-ms", "320", "--stop-stage", "5")
    calls = corpus.calls_file.read_text().splitlines()
    both = "--encoder_conf sparsities=[0.5,0.8] --encoder_conf chunk_ms=[320]"
    for module in ("pretrain", "asr_train"):
        assert any(f"bin.{module} " in call and both in call for call in calls)
    assert any("bin.prune" in call and "--sparsities 0.5,0.8" in call for call in calls)
    decoded = [re.search(r"--config (\S+) .*--out (\S+)", call).groups() for call in calls if "asr_inference" in call]
    assert decoded == [
        ("conf/decode_dense.yaml", "exp/asr_base/decode_dense_test"),
        ("exp/conf_base/decode_sparse_0.5.yaml", "exp/asr_base/decode_sparse_0.5_test"),
        ("exp/conf_base/decode_sparse_0.8.yaml", "exp/asr_base/decode_sparse_0.8_test"),
    ]
    made = (corpus.folder / "exp/conf_base/decode_sparse_0.8.yaml").read_text()
    assert made == "sparsity: 0.8  # most\nchunk_ms: 320\n"
    checked = (corpus.folder / "calls.checks").read_text()
    assert both in checked and "--sparsities 0.5,0.8" in checked and "decode_sparse_0.8.yaml" in checked


# --- looking before working -------------------------------------------------------------------------


def tree(folder: Path) -> dict[Path, tuple]:
    """Every file and folder, with what it says and when it was changed."""
    return {
        path: (path.read_bytes() if path.is_file() else None, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
    }


def rows(output: str) -> list[list[str]]:
    """The cells of a dry run's table, below its heading."""
    lines = output.splitlines()
    heading = next(line for line in lines if "marked done by" in line)
    starts = [0, *(heading.index(name) for name in ("stage", "step", "marked done by", "why"))]
    ends = [*starts[1:], None]
    table = lines[lines.index(heading) + 1 : -1]
    return [[line[start:end].strip() for start, end in zip(starts, ends, strict=True)] for line in table]


@pytest.mark.parametrize("options", [[], ["--work-dir", "new"], ["--chunk-ms", "320,640", "--stop-stage", "7"]])
@pytest.mark.parametrize("before", ["fresh", "run", "refused"])
def test_a_dry_run_leaves_nothing(corpus, tmp_path, options, before):
    (corpus.folder / "conf/decode_sparse.yaml").write_text("chunk_ms: 640\n")
    options = [*options, "--device-decode", "sparse_320ms" if "--chunk-ms" in options else "sparse"]
    if before == "run":
        corpus.run("--stop-stage", "3")
    (tmp_path / "temporary").mkdir()
    elsewhere = {"CALLS": str(tmp_path / "calls"), "TMPDIR": str(tmp_path / "temporary")}
    left = tree(corpus.folder)
    if before == "refused":
        output = corpus.run("--dry-run", *options, status=2, STUB_FAIL="check_config", **elsewhere)
        assert output == "error: the configuration was refused: the stub does not like asr.yaml\n"
    else:
        assert "nothing was done (--dry-run)" in corpus.run("--dry-run", *options, **elsewhere)
    assert tree(corpus.folder) == left and not list((tmp_path / "temporary").iterdir())
    assert not (tmp_path / "calls").exists()


def test_dry_run_says_what_would_run_and_why(corpus):
    output = corpus.run("--dry-run")
    table = rows(output)
    assert table[0] == ["would run", "0", "the corpus", "exp/.done/prepare", "it has not been done yet"]
    assert table[1][2:] == ["validation of train", "exp/.done/validate_train", "the corpus would run before it"]
    assert output.endswith(f"{STEPS} steps would run; nothing was done (--dry-run)\n")
    assert corpus.new_calls() == []
    done = corpus.run()
    corpus.new_calls()
    output = corpus.run("--dry-run")
    assert output.endswith("0 steps would run; nothing was done (--dry-run)\n")
    assert [row[2:4] for row in rows(output)] == [row[2:4] for row in table]
    for verdict, stage, step, mark, why in rows(output):
        assert (verdict, why) == ("done", "") and (corpus.folder / mark).is_file()
        assert f"stage {stage}: {step}: starting\n" in done  # as it is called when it runs
    (corpus.folder / "conf/tuning/asr.yaml").write_text("name: another\n")
    assert [[row[1], row[2], row[4]] for row in rows(corpus.run("--dry-run")) if row[0] == "would run"] == [
        ["4", "fine-tuning", "again, since this changed: file conf/tuning/asr.yaml"],
        ["5", "decode_dense_test", "fine-tuning would run before it"],
        ["5", "decode_sparse_test", "fine-tuning would run before it"],
        ["6", "scoring", "decode_sparse_test would run before it"],
    ]
    corpus.run("--stop-stage", "4")
    corpus.new_calls()
    output = corpus.run("--dry-run", "--stage", "5", "--stop-stage", "5")
    assert {row[4] for row in rows(output)} == {"again, since this changed: file exp/.done/asr_base"}


def test_dry_run_names_a_step_that_is_missing(corpus):
    output = corpus.run("--dry-run", "--stage", "3", "--stop-stage", "3")
    assert rows(output)[0][4] == "it needs exp/.done/pretrain_base, which is not there: begin with an earlier --stage"
    assert output.endswith("1 step would run; nothing was done (--dry-run)\n")


def test_dry_run_foresees_what_is_done_with_made_configurations_and_remarks_on_the_data(corpus):
    (corpus.folder / "conf/decode_sparse.yaml").write_text("chunk_ms: 640\n")
    script = corpus.folder / "run.sh"
    own = 'own_notes() { notes+=("$(<"$data/test/text")"); }\nrecipe'
    script.write_text(script.read_text().replace('recipe "$@"', f'{own} "$@"'))
    options = ["--work-dir", "a & b", "--chunk-ms", "320,640", "--stop-stage", "6"]
    assert "0 steps" not in corpus.run("--dry-run", *options)
    (corpus.folder / "exp").symlink_to("a & b/exp")  # where the stub's report goes
    corpus.run(*options)
    assert corpus.run("--dry-run", *options).endswith("\n0 steps would run; nothing was done (--dry-run)\n")


def test_old_folders_are_listed_and_removed_when_that_is_agreed(corpus):
    assert corpus.run("--clean-old") == "there are no *.old-DATE folders in exp\n"
    old = corpus.folder / "exp/asr_base.old-20260101-120000"
    kept = [corpus.folder / "exp/asr_base", corpus.folder / "exp/mine.old-fashioned"]
    for folder in (old, *kept):
        folder.mkdir(parents=True)
    output = corpus.run("--clean-old", status=2)
    assert "exp/asr_base.old-20260101-120000\n" in output and "say --yes as well" in output
    assert corpus.run("--clean-old", "--yes", "--dry-run").endswith("nothing was removed (--dry-run)\n")
    assert old.exists()
    assert corpus.run("--clean-old", "--yes").endswith("removed 1 folders\n")
    assert not old.exists() and all(folder.exists() for folder in kept)
    assert corpus.new_calls() == []


def test_the_tail_of_a_failure_is_of_this_run_and_the_command_is_in_short_lines(corpus):
    corpus.run(status=3, STUB_FAIL="prune")
    log = corpus.folder / "exp/log/prune_base.log"
    log.write_text(log.read_text().replace("stub prune", "said by the first run"))
    output = corpus.run(status=3, STUB_FAIL="prune", cwd=corpus.folder)
    assert output.endswith("    stub prune\n    error: the stub was asked to fail\n")
    assert max(map(len, log.read_text().splitlines())) <= 115


# --- failures and interruptions -------------------------------------------------------------------


def test_a_failing_command(corpus):
    output = corpus.run(status=3, STUB_FAIL="prune")
    assert "stage 3 failed (status 3); log: exp/log/prune_base.log" in output
    assert output.endswith("    stub prune\n    error: the stub was asked to fail\n")
    corpus.new_calls()
    corpus.run()
    assert corpus.new_calls()[0] == "prune"


def test_killed_in_training_then_run_again(corpus):
    first = corpus.start(STUB_HANG="pretrain")
    processes = corpus.hanging("pretrain_base")
    first.kill()
    corpus.wait_until(lambda: not any(map(alive, processes)))  # the training and what it started die with the recipe
    first.communicate(timeout=corpus.PATIENCE_S)

    output = corpus.run()
    assert "stage 2: going on in exp/pretrain_base, where an interrupted run left off" in output
    assert "stage 0: the corpus: done already" in output
    assert (corpus.folder / "exp/pretrain_base/epochs").read_text() == "epoch\nepoch\n"
    assert not list((corpus.folder / "exp").glob("*.old-*"))


def test_an_interrupted_training_of_another_configuration_is_not_mixed_in(corpus):
    first = corpus.start(STUB_HANG="pretrain")
    corpus.hanging("pretrain_base")
    first.kill()
    first.communicate(timeout=corpus.PATIENCE_S)
    output = corpus.run("--stop-stage", "2", "--seed", "3")
    assert "was made by another configuration or run; it is kept as exp/pretrain_base.old-" in output
    assert (corpus.folder / "exp/pretrain_base/epochs").read_text() == "epoch\n"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_signals_stop_the_training_too(corpus, number, status):
    process = corpus.start(STUB_HANG="asr_train")
    processes = corpus.hanging("asr_base")
    process.send_signal(number)
    output, _ = process.communicate(timeout=corpus.PATIENCE_S)
    assert process.returncode == status
    assert "in stage 4; the same command goes on from here" in output
    assert not any(map(alive, processes))


def test_what_is_told_to_stop_has_time_to_save(corpus):
    process = corpus.start(STUB_HANG="asr_train", STUB_SAVES="6")
    corpus.hanging("asr_base")
    process.terminate()
    output, _ = process.communicate(timeout=corpus.PATIENCE_S)
    assert process.returncode == 143 and (corpus.folder / "exp/asr_base/saved").exists()
    assert "SIGTERM: waiting for the command to save where it is, at most 60 s; once more ends it at once" in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_it_may_save_where_nobody_reads_any_more(corpus, number):
    process = corpus.start(STUB_HANG="asr_train", STUB_SAVES="4")
    corpus.hanging("asr_base")
    process.stdout.close()  # as a tee that had the same Ctrl-C, and a terminal that hangs up
    process.send_signal(number)
    time.sleep(0.1)
    if number == signal.SIGHUP:
        process.send_signal(number)  # a terminal does so twice
    assert process.wait(corpus.PATIENCE_S) == 128 + number
    assert (corpus.folder / "exp/asr_base/saved").exists()


def test_a_second_signal_waits_for_nothing(corpus):
    process = corpus.start("--force", STUB_HANG="asr_train", STUB_SAVES="1000", start_new_session=True)
    training, _ = corpus.hanging("asr_base")
    os.killpg(process.pid, signal.SIGINT)  # all that is in the foreground, as Ctrl-C does
    time.sleep(1)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=corpus.PATIENCE_S)
    assert process.returncode == 130 and not alive(training)
    assert output.endswith("stopped by SIGINT in stage 4; the same command without --force goes on from here\n")
    corpus.new_calls()
    assert "stage 4: going on in exp/asr_base" in corpus.run() and corpus.new_calls()[0] == "asr_train"


def test_a_killed_training_leaves_no_helper(corpus):
    process = corpus.start(STUB_HANG="pretrain")
    training, helper = corpus.hanging("pretrain_base")
    os.kill(training, signal.SIGKILL)
    output, _ = process.communicate(timeout=corpus.PATIENCE_S)
    assert process.returncode == 137 and "stage 2 failed (status 137)" in output
    corpus.wait_until(lambda: not alive(helper))


@pytest.mark.parametrize("options", [["--work-dir", "local/prepare.py"], ["--work-dir", "local/prepare.py/x"]])
def test_a_work_folder_that_cannot_be_is_one_sentence(corpus, options):
    output = corpus.run(*options, status=2)
    assert output.startswith(f"error: cannot make the folder {corpus.folder}/{options[1]} (")
    assert output.endswith("): use another --work-dir\n") and output.count("\n") == 1


@pytest.mark.parametrize("name", [".run.lock", "exp/.lock_base"])
def test_a_work_folder_that_cannot_be_written_to_is_one_sentence(corpus, name):
    (corpus.folder / name).mkdir(parents=True)  # root may write where others may not
    output = corpus.run(status=2)
    assert output.splitlines()[-1].startswith("error: cannot write to ")
    assert f"{name}: change its permissions, or use another --work-dir\n" in output and "line" not in output


def test_stage_7_compares_with_a_decoding_that_there_is(corpus):
    output = corpus.run("--stop-stage", "7", "--device-decode", "none", status=2)
    sentence = "error: --device-decode is 'none': it must be a decoding of stage 5, which are: dense sparse\n"
    assert output.endswith(sentence) and corpus.new_calls() == []
    assert corpus.run("--stop-stage", "7", "--device-decode", "none", "--dry-run", status=2) == sentence


def test_two_runs_at_once(corpus):
    first = corpus.start(STUB_HANG="pretrain")
    corpus.hanging("pretrain_base")
    output = corpus.run(status=2)
    assert (
        output.startswith("error: another run is at work in ")
        and f"(process {first.pid} on {socket.gethostname()})" in output
    )
    first.terminate()
    first.communicate(timeout=corpus.PATIENCE_S)
    corpus.run()


def test_a_run_whose_data_are_made_lets_others_begin(corpus):
    first = corpus.start(STUB_HANG="pretrain")
    corpus.hanging("pretrain_base")
    corpus.run("--stage", "2", "--stop-stage", "4", "--tag", "two")
    output = corpus.run("--stop-stage", "0", "--tag", "three", status=2)
    assert f"(process {first.pid} on {socket.gethostname()}): wait for it" in output  # not that of two, which has ended
    assert output.endswith("once its data are made, --stage 2 --tag NAME begins another experiment beside it\n")
    first.terminate()
    first.communicate(timeout=corpus.PATIENCE_S)


@pytest.mark.parametrize(
    ("options", "package"),
    [
        (("--emission-delay",), "ctc_segmentation"),
        (("--stop-stage", "7"), "sherpa_onnx"),
        (("--stop-stage", "7"), "--engine"),
    ],
)
def test_what_is_not_installed_is_said_before_any_work(corpus, options, package):
    output = corpus.run(*options, status=2, STUB_LACKS=package)
    assert output.splitlines()[-1].endswith(f" needs {package}, which is not installed") and corpus.new_calls() == []
    corpus.run("--stop-stage", "5", *options[:-2], STUB_LACKS=package)


def test_a_corpus_that_is_a_clone_is_noted_by_its_commit(tmp_path):
    git = ("git", "-C", tmp_path / "clone", "-c", "user.name=a", "-c", "user.email=a@b")
    (tmp_path / "clone" / "part").mkdir(parents=True)
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout[:12]
    (tmp_path / "link").symlink_to("clone")

    def notes(folder: str) -> str:
        script = f'set -e; source "{ROOT}/egs/common/lib.sh"; notes=(); note_commit "$1"; echo "${{notes[*]}}"'
        done = subprocess.run(
            ["bash", "-uc", script, "-", tmp_path / folder], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    for folder in ("clone", "link"):
        assert notes(folder) == f"The corpus is that of commit {commit} of its repository."
    assert [notes(folder) for folder in ("clone/part", ".", "none")] == ["", "", ""]


def test_another_place_to_look_for_folders_does_no_harm(corpus):
    corpus.run("--stop-stage", "1", CDPATH=f".:{corpus.folder}")


def test_a_file_system_without_locks_is_no_other_run(corpus):
    flock = corpus.folder / "env" / "bin" / "flock"
    flock.write_text("#!/bin/sh\necho 'flock: 9: Function not implemented' >&2\nexit 71\n")
    flock.chmod(0o755)
    output = corpus.run(status=2)
    assert "has no locks" in output and "status 71" in output and "another run" not in output


def test_decodings_of_two_experiments_have_logs_of_their_own(corpus):
    """Jobs with the same logs are taken for those of a run that was killed, and cancelled."""
    (corpus.folder / "cmd.sh").write_text("decode_cmd=slurm.pl\n")
    logs = []
    for tag in ("base", "two"):
        corpus.run("--stop-stage", "5", "--tag", tag)
        calls = corpus.calls_file.read_text()
        logs.append(set(re.findall(r"asr_inference .*--log (\S+)", calls)))
        corpus.calls_file.unlink()
    assert logs == [{"exp/asr_base/log"}, {"exp/asr_two/log"}]


@pytest.mark.parametrize(
    ("own", "options", "words"),
    [
        ("", ("--ngpu", "4"), "slurm.pl --mem 1G --num-threads 8 --log"),
        ("", (), "slurm.pl --mem 1G --num-threads 6 --log"),
        (" --num_threads 30", ("--ngpu", "4"), "slurm.pl --mem 1G --num_threads 30 --log"),
    ],
)
def test_a_training_job_has_cores_for_its_gpus(corpus, own, options, words):
    (corpus.folder / "cmd.sh").write_text(f"train_cmd='slurm.pl --mem 1G{own}'\n")
    corpus.run("--stop-stage", "2", *options, status=2, OMP_NUM_THREADS="6")  # the stub's launcher trains nothing
    assert f"-m espnet2.bin.launch --cmd {words}" in corpus.calls_file.read_text()


def test_decoding_on_a_cluster_s_gpus_asks_for_them(corpus):
    (corpus.folder / "cmd.sh").write_text("decode_cmd='slurm.pl --mem 8G'\n")
    corpus.run("--stop-stage", "5", "--decode-device", "cuda")
    assert corpus.calls_file.read_text().count("--device cuda --cmd slurm.pl --mem 8G --gpu 1 --nj") == 2
    (corpus.folder / "conf/decode_dense.yaml").write_text("device: cuda\n")
    corpus.calls_file.unlink()
    corpus.run("--stop-stage", "5", "--tag", "two")
    assert corpus.calls_file.read_text().count("--cmd slurm.pl --mem 8G --gpu 1 --nj") == 2
    corpus.calls_file.unlink()
    corpus.run("--stop-stage", "5", "--tag", "three", "--decode-device", "cpu")
    assert "--gpu" not in corpus.calls_file.read_text()


def test_a_wrapper_that_is_not_there_is_said_before_any_work(corpus):
    (corpus.folder / "cmd.sh").write_text("decode_cmd='gone.pl --mem 8G'\n")
    output = corpus.run(status=2, STUB_LACKS="gone.pl")
    assert "decode_cmd in " in output and output.rstrip().endswith("cmd.sh: there is no program gone.pl")
    assert corpus.new_calls() == []
    corpus.run("--stop-stage", "4", STUB_LACKS="gone.pl")  # which need none
    (corpus.folder / "cmd.sh").write_text("train_cmd=tools/cluster/run.pl\n")
    assert "is run.pl, of one machine" in corpus.run("--num-nodes", "2", status=2)


def test_options_of_stages_that_are_left_out_are_told(corpus):
    """What those stages made is used as it is; the results do not say that this command made it."""
    corpus.run("--from", "here")
    corpus.new_calls()
    assert "warning: made by other commands" not in corpus.run("--stage", "2")
    assert corpus.new_calls() == []
    output = corpus.run("--stage", "5", "--size", "9", "--speeds", "0.9,1.0", "--seed", "1", "--from", "there")
    told = "the corpus, features of train, pre-training, fine-tuning"
    assert f"warning: made by other commands before, and used as they are, since --stage is 5: {told}" in output
    report = corpus.calls_file.read_text().splitlines()[-1]
    assert f"--note Made by other commands than the one below says: {told}." in report
    assert corpus.new_calls() == ["report"]
    corpus.run("--from", "here", "--force", "--stage", "6")
    assert "Made by other commands" not in corpus.calls_file.read_text()


def test_an_environment_is_named_as_seen_from_the_caller(corpus, tmp_path):
    environment = os.path.relpath(corpus.folder / "env", tmp_path)
    assert "there is no Python environment" not in corpus.run("--dry-run", cwd=tmp_path, DUALMODE_VENV=environment)
    corpus.run("--stop-stage", "0", cwd=tmp_path, DUALMODE_VENV=environment)


def test_any_recipe_runs_on_a_cluster(corpus):
    assert "needs a cluster: say cmd_backend=slurm" in corpus.run("--num-nodes", "2", status=2)
    corpus.run("--stop-stage", "2", "--num-nodes", "2", status=2, cmd_backend="slurm")  # whose launcher trains nothing
    calls = corpus.calls_file.read_text()
    assert "tools/cluster/slurm.pl --mem 64G" in calls and "--num_nodes 2" in calls
    assert "it must be local or slurm" in corpus.run(status=2, cmd_backend="other")


def test_experiments_run_side_by_side_once_the_data_are_there(corpus):
    corpus.run("--stop-stage", "1")
    first = corpus.start("--stage", "2", "--tag", "one", STUB_HANG="pretrain")
    corpus.hanging("pretrain_one")
    corpus.run("--stage", "2", "--stop-stage", "4", "--tag", "two")
    output = corpus.run("--stage", "2", "--tag", "one", status=2)
    assert (
        "at work in this experiment, exp/.lock_one" in output
        and f"(process {first.pid} on {socket.gethostname()})" in output
    )
    assert "another run is at work in " in corpus.run("--stop-stage", "0", "--tag", "three", status=2)
    first.terminate()
    first.communicate(timeout=corpus.PATIENCE_S)
    corpus.run("--stop-stage", "0", "--tag", "three")

"""Configurations are looked at as the recipes name them, before stage 0."""

from pathlib import Path

import pytest

from dualmode.bin.check_config import main
from dualmode.errors import UserError

ROOT = Path(__file__).parents[2]
DECODE = [f"conf/decode_{name}.yaml" for name in ("dense", "sparse")]
RECIPES = {
    "mini": ("conf/tuning/pretrain.yaml", "conf/tuning/prune.yaml", "egs/mini/conf/tuning/asr.yaml", DECODE),
    "mini, RNN-T": (
        "conf/tuning/pretrain.yaml",
        "conf/tuning/prune.yaml",
        "egs/mini/conf/tuning/asr_rnnt.yaml",
        DECODE,
    ),
    "fsdd": ("conf/tuning/pretrain.yaml", "conf/tuning/prune.yaml", "egs/fsdd/conf/tuning/asr.yaml", DECODE),
    **{
        f"librispeech, {size}": (
            f"egs/librispeech/conf/tuning/pretrain_{size}.yaml",
            "egs/librispeech/conf/tuning/prune.yaml",
            f"egs/librispeech/conf/tuning/asr_{size}.yaml",
            [f"egs/librispeech/{path}" for path in DECODE],
        )
        for size in ("mini", "small", "base", "large")
    },
    "template": ("conf/tuning/pretrain.yaml", "conf/tuning/prune.yaml", "egs/TEMPLATE/conf/tuning/asr.yaml", DECODE),
    "tiny": ("conf/tiny/pretrain.yaml", "conf/tuning/prune.yaml", "conf/tiny/asr.yaml", DECODE),
    **{
        f"speechocean762, {name}": (
            "egs/speechocean762/conf/tuning/pretrain.yaml",
            "conf/tuning/prune.yaml",
            f"egs/speechocean762/conf/tuning/{name}.yaml",
            DECODE,
        )
        for name in ("asr", "asr_rnnt")
    },
}


def words(pretrain, prune, asr, decode):
    options = ["--pretrain", ROOT / pretrain, "--prune", ROOT / prune, "--asr", ROOT / asr, "--decode"]
    return [*map(str, options), *(str(ROOT / path) for path in decode)]


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_the_shipped_recipes_hold(recipe, capsys):
    main(words(*recipe))
    assert capsys.readouterr().out == ""


@pytest.fixture
def changed(tmp_path):
    """Return a function that gives the words of mini's recipe, one of its files changed."""

    def change(index: int, old: str, new: str) -> list[str]:
        files = [*RECIPES["mini"][:3], *DECODE]
        text = (ROOT / files[index]).read_text()
        assert old in text
        path = tmp_path / Path(files[index]).name
        path.write_text(text.replace(old, new))
        files[index] = path
        return words(*files[:3], files[3:])

    return change


@pytest.mark.parametrize(
    ("index", "old", "new", "message"),
    [
        (2, "num_blocks: 6", "num_blocks: 5", "num_blocks 6, but this configuration has 5"),
        (2, "sparsities: [0.7]", "sparsities: [0.6]", "sparsities"),
        (1, "granularity: units", "granularity: unit", "granularity is 'unit'"),
        (1, "granularity: units", "granulariti: units", "the key 'granulariti'"),
        (0, "max_epoch", "max_epochs", "the key 'max_epochs'"),
        (2, "distill_weight: 0.1", "distil_weight: 0.1", "no key 'distil_weight'"),
        (2, "branch_conf: {dense: 1.0", "branch_conf: {dense: -1.0", "dense is -1.0"),
        (2, "freq_mask_width_range: [0, 10]", "freq_mask_width: [0, 10]", "specaug_conf"),
        (2, "  interval: 50", "  interval: -50", "pruning schedule"),
        (4, "sparsity: 0.7", "sparsity: 0.9", "sparsity 0.9"),
        (4, "chunk_ms: 640", "chunk_ms: 320", "not trained to run as"),
        (3, "batch_size", "batch", "the key 'batch'"),
        (3, "batch_size: 1", "beam_size: 0", "beam_size is 0"),
        (3, "batch_size: 1", "nbest: 5", "nbest is 5: it must not exceed"),
        (3, "batch_size: 1", "hotwords: [go]", "beam_size is 1, the greedy search"),
        (3, "batch_size: 1", "device: banana", "device is 'banana'"),
        (2, "max_epoch: 12", "max_epoch:", "max_epoch has no value: it must be a whole number"),
        (0, "num_iters_per_epoch: 100", "num_iters_per_epoch: 100\nupdates_per_epoch: 50", "give one of them"),
        (0, "num_iters_per_epoch: 100", "num_iters_per_epoch: 100\ncheckpoint_every: 0", "checkpoint_every"),
        (0, "num_iters_per_epoch: 100", "num_iters_per_epoch: 100\nwindow_h: 0", "window_h"),
        (0, "num_iters_per_epoch: 100", "num_iters_per_epoch: 100\nreference_batch_h: 0", "reference_batch_h"),
        (2, "num_iters_per_epoch: 240", "", "onecyclelr needs updates_per_epoch or num_iters_per_epoch"),
        (
            2,
            "freq_mask_width_range: [0, 10]",
            "freq_mask_width_range: [10, 0]",
            r"range is \[10, 0\]: a range must rise",
        ),
        (2, "apply_time_warp: false", "apply_time_warp: flase", "apply_time_warp is 'flase': it must be true or"),
        (2, "num_time_mask: 1", "num_time_mask: 1.5", "num_time_mask is 1.5: it must be a whole number"),
        (2, "freq_mask_width_range: [0, 10]", "freq_mask_width_range: [0, 200]", "a frame has 80 bins"),
        (2, "[[valid, ter, min]]", "[[valid, ter, mni]]", r"best_model_criterion has \['valid', 'ter', 'mni'\]"),
        (2, "[[valid, ter, min]]", "[valid, ter, min]", "best_model_criterion is .*: it must be a list of"),
        (2, "keep_nbest_models: 1", "keep_nbest_models: 0", "keep_nbest_models is 0: it must be at least 1"),
        (2, "grad_clip: 5.0", "grad_clip: [5]", r"grad_clip is \[5\]: it must be a number"),
        (0, "  output_size: 144", "  output_size: 144\n  input_size: 4", "input_size"),
        (0, "  output_size: 144", "  output_size: 144\n  layer_share: [0.1]", r"must be \[lowest, highest\]"),
        (2, "  dropout_rate: 0.1", "  dropout_rate: 0.999", "dropout_rate is 0.999"),
    ],
)
def test_what_cannot_work_is_named_with_its_file(changed, index, old, new, message):
    command = changed(index, old, new)
    with pytest.raises(UserError, match=message) as error:
        main(command)
    assert Path([*RECIPES["mini"][:3], *DECODE][index]).name in str(error.value)


def test_options_of_the_trainings_count(changed):
    command = changed(0, "seed", "seed")
    with pytest.raises(UserError, match="num_blocks 4, but this configuration has 6"):
        main([*command, "--pretrain-args=--encoder_conf num_blocks=4"])
    main([*command, "--pretrain-args=--encoder_conf num_blocks=4", "--asr-args=--encoder_conf num_blocks=4"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--max_epch 3", "asr.yaml with --asr-args: there is no option --max_epch; did you mean '--max_epoch'"),
        (
            "--max_epoch '3",
            "asr.yaml with --max_epoch '3: argument --max_epoch: invalid int",
        ),  # a quote is a letter, as in recipes
    ],
)
def test_mistakes_in_options_of_the_trainings_are_named(changed, words, message):
    with pytest.raises(UserError, match=message):
        main([*changed(0, "seed", "seed"), f"--asr-args={words}"])


def test_a_fine_tuning_from_scratch_takes_its_sizes_from_where_it_is_told():
    asr, pretrain = (ROOT / f"egs/librispeech/conf/tuning/{name}_base.yaml" for name in ("asr", "pretrain"))
    decode = str(ROOT / "egs/librispeech/conf/decode_sparse.yaml")
    main(["--asr", str(asr), "--encoder-from", str(pretrain), "--decode", decode])
    with pytest.raises(UserError, match="not trained to run as"):  # with the defaults it would be another model
        main(["--asr", str(asr), "--decode", decode])


def test_a_start_of_another_experiment(tmp_path):
    """What it is, is known from its folder, or else is not asked."""
    folder = ROOT / "egs/librispeech"
    decode = str(folder / "conf/decode_sparse.yaml")
    command = ["--asr", str(folder / "conf/tuning/asr_base.yaml"), "--decode", decode]
    with pytest.raises(UserError, match="not trained to run as"):
        main(command)
    main([*command, "--start-unknown"])
    start = ["--start", str(folder / "conf/tuning/pretrain_base.yaml")]
    main([*command, *start])
    main([*command, *start, "--prune", str(folder / "conf/tuning/prune.yaml")])
    (tmp_path / "prune.yaml").write_text("sparsities: [0.5]\n")
    with pytest.raises(UserError, match="no sub-network of sparsity 0.7"):
        main([*command, *start, "--prune", str(tmp_path / "prune.yaml")])
    for other in ("output_size=96", "sparsities=[0.5]"):
        with pytest.raises(UserError, match=f"pretrain_base.yaml has {other.partition('=')[0]}"):
            main([*command, *start, f"--asr-args=--encoder_conf {other}"])


def test_options_of_the_pruning_are_looked_at(changed, capsys):
    command = changed(0, "seed", "seed")
    main([*command, "--prune-args=--calibrate not/there/yet --utterances 5"])
    with pytest.raises(UserError, match="^--prune-args: --utterances is of --calibrate, which is not given$"):
        main([*command, "--prune-args=--utterances 5"])
    with pytest.raises(SystemExit):
        main([*command, "--prune-args=--calibrat x"])
    assert "there is no option --calibrat; did you mean '--calibrate'" in capsys.readouterr().err


def test_options_of_the_pruning_count(changed, tmp_path):
    """As in stage 3, where they stand behind the recipe's own."""
    command = changed(0, "seed", "seed")
    for more in ([], ["--sparsities", "0.7"]):
        with pytest.raises(UserError, match=r"prune.yaml with --sparsities 0.5 has sparsities \[0.5\], but .* \[0.7\]"):
            main([*command, *more, "--prune-args=--sparsities 0.5"])
    with pytest.raises(UserError, match=r"prune.yaml with --sparsities 0.9,0.5: .* must ascend"):
        main([*command, "--prune-args=--sparsities 0.9,0.5"])
    with pytest.raises(UserError, match="has importance activations, but this configuration has magnitude"):
        asr_args = "--asr-args=--encoder_conf importance=magnitude"
        main([*command, "--prune-args=--calibrate not/there/yet", asr_args])
    (tmp_path / "blocks.yaml").write_text("block: [4, 4]\n")
    with pytest.raises(UserError, match=f"prune.yaml with --config {tmp_path}/blocks.yaml has granularity blocks"):
        main([*command, f"--prune-args=--config {tmp_path}/blocks.yaml"])


def test_sparsities_of_all_stages_come_from_one_option(changed):
    command = changed(4, "sparsity: 0.7", "sparsity: 0.8")
    both = ["--encoder_conf sparsities=[0.5,0.8]", "--encoder_conf sparsities=[0.5,0.8]"]
    trainings = [f"--pretrain-args={both[0]}", f"--asr-args={both[1]}"]
    with pytest.raises(UserError, match="has sparsities .0.7., but this configuration has .0.5, 0.8."):
        main([*command, *trainings])
    main([*command, *trainings, "--sparsities", "0.5,0.8"])


def test_a_schedule_that_does_not_fit_is_warned_of(changed, capsys):
    main(changed(2, "seed", "seed"))
    assert capsys.readouterr().out == ""
    command = changed(2, "num_iters_per_epoch: 240", "num_iters_per_epoch: 60")
    main([*command, "--pretrain-args=--max_epoch 2", "--asr-args=--pruning_conf start=0"])
    pretrain, masks, distill = capsys.readouterr().out.splitlines()
    assert "masks reach their full sparsity at update 300 (pruning_conf: end), and the training has 200" in pretrain
    assert masks.startswith("warning: ") and "asr.yaml: the masks reach their full sparsity at update 1200" in masks
    assert "distillation begins after update 800" in distill and "has 720 updates: it never begins" in distill


@pytest.mark.parametrize(("missing", "weight", "warned"), [("dense", 0.1, 1), ("sparse", 0.1, 1), ("dense", 0.0, 0)])
def test_distillation_without_a_branch_is_warned_of(changed, capsys, missing, weight, warned):
    command = [
        *changed(2, "seed", "seed"),
        f"--asr-args=--branch_conf {missing}=0 --model_conf distill_weight={weight}",
    ]
    main(command)
    assert capsys.readouterr().out.count(f"branch_conf has {missing}: 0: there is none") == warned


@pytest.mark.parametrize(
    ("epoch", "warned"),
    [
        ("num_iters_per_epoch: 200", False),
        ("num_iters_per_epoch: 200\naccum_grad: 4", True),
        ("updates_per_epoch: 200\naccum_grad: 4", False),
        ("updates_per_epoch: 50", True),
    ],
)
def test_schedules_count_updates(changed, capsys, epoch, warned):
    main([*changed(0, "num_iters_per_epoch: 100", epoch), "--pretrain-args=--max_epoch 2"])
    assert ("the masks reach their full sparsity at update 300" in capsys.readouterr().out) == warned


def test_a_fine_tuning_of_a_trained_model(model_dir, tmp_path):
    finetune = str(ROOT / "conf/tuning/finetune.yaml")
    (tmp_path / "decode.yaml").write_text("sparsity: 0.7\nchunk_ms: 320\nleft_ms: 320\n")
    command = ["--asr", finetune, "--init", str(model_dir), "--decode", str(tmp_path / "decode.yaml")]
    main(command)
    with pytest.raises(UserError, match="not trained to run as"):
        main([*command, str(ROOT / "conf/decode_sparse.yaml")])
    with pytest.raises(UserError, match="has output_size 16, but this configuration has 32"):
        main([*command, "--asr-args=--encoder_conf output_size=32"])


def test_a_fine_tuning_need_not_repeat_sizes_and_masks(changed):
    text = (ROOT / RECIPES["mini"][2]).read_text()
    sizes = text[text.index("  output_size") : text.index("  dropout_rate")]
    masks = text[text.index("  sparsities") : text.index("  chunk_ms")]
    command = changed(2, sizes, "")
    path = Path(command[command.index("--asr") + 1])
    path.write_text(path.read_text().replace(masks, ""))
    main(command)

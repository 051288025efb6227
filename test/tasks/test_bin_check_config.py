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
        for size in ("small", "base", "large")
    },
}


def words(pretrain, prune, asr, decode):
    options = ["--pretrain", ROOT / pretrain, "--prune", ROOT / prune, "--asr", ROOT / asr, "--decode"]
    return [*map(str, options), *(str(ROOT / path) for path in decode)]


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_the_shipped_recipes_hold(recipe):
    main(words(*recipe))


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
        ("--max_epoch '3", "asr.yaml: argument --max_epoch: invalid int value"),  # a quote is a letter, as in recipes
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
    assert "masks reach their full sparsity at batch 300 (pruning_conf: end), and the training has 200" in pretrain
    assert masks.startswith("warning: ") and "asr.yaml: the masks reach their full sparsity at batch 1200" in masks
    assert "distillation begins after batch 800" in distill and "has 720 batches: it never begins" in distill


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

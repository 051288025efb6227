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


def test_a_fine_tuning_from_scratch_takes_its_sizes_from_where_it_is_told():
    asr, pretrain = (ROOT / f"egs/librispeech/conf/tuning/{name}_base.yaml" for name in ("asr", "pretrain"))
    decode = str(ROOT / "egs/librispeech/conf/decode_sparse.yaml")
    main(["--asr", str(asr), "--encoder-from", str(pretrain), "--decode", decode])
    with pytest.raises(UserError, match="not trained to run as"):  # with the defaults it would be another model
        main(["--asr", str(asr), "--decode", decode])


def test_a_fine_tuning_need_not_repeat_sizes_and_masks(changed):
    text = (ROOT / RECIPES["mini"][2]).read_text()
    sizes = text[text.index("  output_size") : text.index("  dropout_rate")]
    masks = text[text.index("  sparsities") : text.index("  chunk_ms")]
    command = changed(2, sizes, "")
    path = Path(command[command.index("--asr") + 1])
    path.write_text(path.read_text().replace(masks, ""))
    main(command)

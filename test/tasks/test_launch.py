"""From a command to a training."""

import pytest

from dualmode.bin import asr_train, pretrain
from dualmode.tasks import launch


@pytest.mark.parametrize("command", [asr_train, pretrain])
@pytest.mark.parametrize(
    ("line", "options", "seed"),
    [("", [], 0), ("seed: 7\n", [], 7), ("seed: 7\n", ["--seed", "0"], 0), ("", ["--seed", "3"], 3)],
    ids=str,
)
def test_a_seed_is_that_of_the_option_or_else_of_the_configuration(tmp_path, monkeypatch, command, line, options, seed):
    class Asked(Exception):
        pass

    def pool(sources, out, names, max_ms, seed):
        raise Asked(seed)

    (tmp_path / "x.yaml").write_text(line + "batch_type: length\n")
    (tmp_path / "tokens").mkdir()
    for name in ("tokens.txt", "tokens.json"):
        (tmp_path / "tokens" / name).touch()
    monkeypatch.setattr(launch, "pool", pool)
    words = ["--config", "x.yaml", "--train", ".", "--valid", ".", "--cmvn", "x.yaml", "--out", "out", *options]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Asked) as asked:
        command.main([*words, *(["--tokens", "tokens"] if command is asr_train else [])])
    assert asked.value.args == (seed,)

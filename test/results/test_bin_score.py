"""The scoring command, as a user runs it."""

import json
import subprocess
import sys

import pytest

from dualmode.bin.score import main
from dualmode.errors import UserError


@pytest.fixture
def texts(tmp_path):
    ref, hyp = tmp_path / "ref", tmp_path / "hyp"
    ref.write_text("u1 turn on the light\nu2 stop\n", encoding="utf-8")
    hyp.write_text("u2 stop it\nu1 turn off the light\n", encoding="utf-8")
    return ref, hyp


def test_rate_json_and_details(texts, tmp_path, capsys):
    ref, hyp = texts
    outputs = ["--json", str(tmp_path / "out/score.json"), "--details", str(tmp_path / "out/score.txt")]
    main(["--ref", str(ref), "--hyp", str(hyp), "--cer", *outputs])
    # Words: on/off S, "it" I, of 5.  Characters: on -> off is S and I, " it" is 3 I, of 17 + 4.
    expected = "%WER 40.00 [ 2 / 5, 1 ins, 0 del, 1 sub ]\n%CER 23.81 [ 5 / 21, 4 ins, 0 del, 1 sub ]\n"
    assert capsys.readouterr().out == expected
    score = json.loads((tmp_path / "out/score.json").read_text(encoding="utf-8"))
    assert (score["wer"], score["errors"], score["words"], score["utterances"]) == (40.0, 2, 5, 2)
    assert (score["sub"], score["del"], score["ins"], score["chars"]) == (1, 0, 1, 21)
    assert (tmp_path / "out/score.txt").read_text(encoding="utf-8").endswith(expected)


def test_a_users_mistake_is_one_sentence_and_status_2(texts, tmp_path):
    (tmp_path / "hyp").write_text("u1 turn on the light\n")
    command = [sys.executable, "-m", "dualmode.bin.score", "--ref", str(texts[0]), "--hyp", str(texts[1])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1 and "u2" in done.stderr and "Traceback" not in done.stderr


def test_an_unwritable_output_is_one_sentence(texts, tmp_path):
    with pytest.raises(UserError, match="cannot be written"):
        main(["--ref", str(texts[0]), "--hyp", str(texts[1]), "--json", str(texts[0] / "score.json")])


def test_scoring_imports_neither_torch_nor_matplotlib():
    code = "import sys, dualmode.bin.score; sys.exit(any(m in sys.modules for m in ('torch', 'matplotlib', 'espnet2')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_sclite_cannot_read_leaves_nothing(tmp_path):
    (tmp_path / "ref").write_text("(a) stop\n", encoding="utf-8")
    ref, out = str(tmp_path / "ref"), tmp_path / "out"
    outputs = ["--json", str(out / "score.json"), "--details", str(out / "score.txt"), "--trn", str(out)]
    with pytest.raises(UserError, match="cannot be written for sclite"):
        main(["--ref", ref, "--hyp", ref, *outputs])
    assert not out.exists()


@pytest.mark.parametrize("option", ["--json", "--details", "--trn"])
def test_what_is_read_is_not_replaced(texts, tmp_path, option):
    (tmp_path / "link").symlink_to(tmp_path / ("ref" if option == "--json" else "hyp"))
    (tmp_path / "trn").mkdir()
    (tmp_path / "trn/hyp.trn").symlink_to(tmp_path / "ref")
    before = [path.read_text() for path in texts]
    given = str(tmp_path / ("trn" if option == "--trn" else "link"))
    with pytest.raises(UserError, match=f"{given}.* is read here, and {option} would replace it: name another"):
        main(["--ref", str(texts[0]), "--hyp", str(texts[1]), option, given])
    assert [path.read_text() for path in texts] == before


def test_two_outputs_are_no_one_file(texts, tmp_path):
    out = str(tmp_path / "out")
    with pytest.raises(UserError, match="--json and --details are the same file"):
        main(["--ref", str(texts[0]), "--hyp", str(texts[1]), "--json", out, "--details", out])

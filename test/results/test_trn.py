"""trn files, and sclite's count of the errors in them where sclite is installed (Debian package sctk)."""

import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dualmode.bin.score import main
from dualmode.errors import UserError
from dualmode.results.score import score_files
from dualmode.results.trn import trn_lines

DEBIAN = Path("/usr/lib/sctk/bin/sclite")  # not on the PATH there
SCLITE = shutil.which("sclite") or (str(DEBIAN) if DEBIAN.is_file() else None)
needs_sclite = pytest.mark.skipif(SCLITE is None, reason="sclite is not installed (Debian package sctk)")


@pytest.mark.parametrize("word", ["{", "a)", "(uh)", "@", ";;x"])
def test_what_sclite_reads_as_markup_is_refused(word):
    with pytest.raises(UserError, match="utterance u1 cannot be written for sclite"):
        list(trn_lines({"u1": ("turn", word)}, ["u1"]))


def test_a_line_that_sclite_takes_for_a_comment_is_refused():
    with pytest.raises(UserError, match=r"utterance u1 cannot .* takes '\*\*ing' for markup"):
        list(trn_lines({"u1": ("**ing", "hell")}, ["u1"]))
    assert list(trn_lines({"u1": ("hell", "**ing")}, ["u1"])) == ["hell **ing (u1)"]


def test_both_files_are_in_the_references_order(tmp_path):
    (tmp_path / "ref").write_text("a-2 größe\na-1 on Off\n")
    (tmp_path / "hyp").write_text("a-1 on off\na-2\n")
    main(["--ref", str(tmp_path / "ref"), "--hyp", str(tmp_path / "hyp"), "--trn", str(tmp_path / "trn")])
    assert (tmp_path / "trn/ref.trn").read_text("utf-8") == "größe (a-2)\non Off (a-1)\n"
    assert (tmp_path / "trn/hyp.trn").read_text("utf-8") == "(a-2)\non off (a-1)\n"


def write_pairs(folder: Path, pairs: list[tuple[list[str], list[str]]]) -> None:
    for side, name in enumerate(("ref", "hyp")):
        lines = [f"s-{number:03d} {' '.join(pair[side])}\n" for number, pair in enumerate(pairs)]
        (folder / name).write_text("".join(lines), encoding="utf-8")


def sclite_errors(folder: Path) -> list[int]:
    """Return sclite's substitutions, deletions and insertions of each utterance, added up."""
    main(["--ref", str(folder / "ref"), "--hyp", str(folder / "hyp"), "--trn", str(folder)])
    command = [SCLITE, "-r", "ref.trn", "trn", "-h", "hyp.trn", "trn", "-i", "spu_id", "-s", "-e", "utf-8"]
    done = subprocess.run([*command, "-o", "pralign", "stdout"], cwd=folder, capture_output=True, check=True)
    counts = re.findall(rb"Scores: \(#C #S #D #I\) \d+ (\d+) (\d+) (\d+)", done.stdout)
    return [sum(map(int, three)) for three in counts]


def our_errors(folder: Path) -> list[int]:
    alignments = score_files(folder / "ref", folder / "hyp").alignments
    return [sum(pair.kind != "=" for pair in pairs) for pairs in alignments.values()]


@needs_sclite
def test_sclite_counts_the_same_errors_where_sentences_are_mostly_right(tmp_path):
    draw = random.Random(0)
    pairs = []
    for _ in range(200):
        reference = [draw.choice(["turn", "on", "the", "Light", "größe", "two"]) for _ in range(draw.randint(1, 12))]
        hypothesis = list(reference)
        for _ in range(draw.randint(0, 2)):
            place = draw.randrange(len(hypothesis) + 1)
            hypothesis[place : place + draw.randint(0, 1)] = draw.choice([[], ["off"], ["light"]])
        pairs.append((reference, hypothesis))
    write_pairs(tmp_path, pairs)
    assert sum(our_errors(tmp_path)) > 100
    assert sclite_errors(tmp_path) == our_errors(tmp_path)


@needs_sclite
def test_sclite_never_counts_fewer(tmp_path):
    draw = random.Random(0)
    pairs = [
        ([draw.choice("abcdef") for _ in range(draw.randint(1, 12))], draw.choices("abcdef", k=8)) for _ in range(200)
    ]
    write_pairs(tmp_path, pairs)
    both = list(zip(our_errors(tmp_path), sclite_errors(tmp_path), strict=True))
    assert len(both) == 200 and all(ours <= sclite for ours, sclite in both)

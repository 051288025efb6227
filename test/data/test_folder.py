"""Folders that are replaced whole, and only by what made them."""

import pytest

from dualmode.bin.make_fbank import main as make_fbank
from dualmode.bin.make_tokens import main as make_tokens
from dualmode.data.folder import Contents, atomic_folder
from dualmode.errors import UserError

OURS = Contents("mark", ("mark", "a*.txt"))


def write(path):
    with atomic_folder(path, OURS) as folder:
        (folder / "mark").touch()


@pytest.mark.parametrize("there", [None, [], ["mark"], ["mark", "a1.txt", "a2.txt"]])
def test_nothing_an_empty_folder_and_an_own_one_are_replaced(tmp_path, there):
    if there is not None:
        (tmp_path / "out").mkdir()
        for name in there:
            (tmp_path / "out" / name).write_text("old")
    write(tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mark"]
    assert (tmp_path / "out" / "mark").read_text() == ""


@pytest.mark.parametrize(
    ("there", "says"),
    [(["thesis"], "it holds thesis"), (["a1.txt"], "no folder with a mark"), (["mark", "b"], "it holds b")],
)
def test_anything_else_is_left_alone(tmp_path, there, says):
    (tmp_path / "out").mkdir()
    for name in there:
        (tmp_path / "out" / name).write_text("work")
    with pytest.raises(UserError, match=f"was not made by this command .*{says}.*: name another --out"):
        write(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(there)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_and_a_link_are_left_alone(tmp_path):
    (tmp_path / "file").write_text("work")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mark").touch()
    (tmp_path / "link").symlink_to(tmp_path / "own")
    for name in ("file", "link"):
        with pytest.raises(UserError, match="was not made by this command"):
            write(tmp_path / name)
    assert (tmp_path / "file").read_text() == "work" and (tmp_path / "own" / "mark").exists()


def test_without_contents_nothing_is_replaced(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="is there already"), atomic_folder(tmp_path / "out"):
        pass


def test_a_kill_while_the_old_folder_is_removed_stops_no_later_run(tmp_path, monkeypatch):
    write(tmp_path / "out")
    (tmp_path / "out" / "a1.txt").touch()

    def rmtree(path, **_):
        if (path / "a1.txt").exists():
            (path / "mark").unlink()
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("dualmode.data.folder.shutil.rmtree", rmtree)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "out")
    write(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mark"]


def test_commands_leave_folders_of_others_alone(tmp_path, monkeypatch):
    (tmp_path / "set").mkdir()
    for name, line in (("text", "u a"), ("wav.scp", "u u.wav"), ("utt2spk", "u s")):
        (tmp_path / "set" / name).write_text(f"{line}\n")
    (tmp_path / "home" / "cwd").mkdir(parents=True)
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    monkeypatch.chdir(tmp_path / "home" / "cwd")
    for out in ("..", str(tmp_path / "home")):
        with pytest.raises(UserError, match="was not made by this command"):
            make_fbank(["--data", str(tmp_path / "set"), "--out", out])
        with pytest.raises(UserError, match="was not made by this command"):
            make_tokens(["--text", str(tmp_path / "set" / "text"), "--type", "char", "--out", out])
    assert (tmp_path / "home" / "thesis.tex").read_text() == "years of work"
    for out in (".", "", "../cwd"):
        with pytest.raises(UserError, match="is the folder that this runs in"):
            make_fbank(["--data", str(tmp_path / "set"), "--out", out])
        with pytest.raises(UserError, match="is the folder that this runs in"):
            make_tokens(["--text", str(tmp_path / "set" / "text"), "--type", "char", "--out", out])
    assert (tmp_path / "home" / "cwd").is_dir()

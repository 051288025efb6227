import os

import pytest

from dualmode.errors import UserError
from dualmode.results.output import check_outputs, write_json_file, write_lines, write_together


def test_a_link_stays_a_link(tmp_path):
    kept = tmp_path / "kept" / "table.md"
    kept.parent.mkdir()
    kept.write_text("old\n")
    link = tmp_path / "table.md"
    link.symlink_to(kept)
    write_lines(link, ["new"])
    assert link.is_symlink() and kept.read_text() == "new\n"
    write_json_file(link, [1])
    assert link.is_symlink() and kept.read_text().split() == ["[", "1", "]"]


@pytest.mark.parametrize("write", [write_lines, write_json_file])
def test_a_pipe_is_not_replaced(tmp_path, write):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(UserError, match="pipe cannot be written: it is a device or a pipe"):
        write(pipe, ["x"])
    assert pipe.is_fifo()


def test_files_of_one_run_are_written_together_or_not_at_all(tmp_path):
    write_together({tmp_path / "a.json": "old", tmp_path / "a.md": "old"})
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe cannot be written"):
        write_together({tmp_path / "a.json": "new", tmp_path / "a.md": "new", tmp_path / "pipe": "new"})
    assert [(tmp_path / name).read_text() for name in ("a.json", "a.md")] == ["old", "old"]
    assert len(list(tmp_path.iterdir())) == 3
    write_together({tmp_path / "a.json": "new", tmp_path / "a.md": "new"})
    assert [(tmp_path / name).read_text() for name in ("a.json", "a.md")] == ["new", "new"]


def test_no_output_is_read_or_written_twice(tmp_path):
    read, link = tmp_path / "read", tmp_path / "link"
    read.write_text("u1 stop\n")
    link.symlink_to(read)
    for path in (read, link, tmp_path / "no" / ".." / "read"):
        with pytest.raises(UserError, match=f"{path} is read here, and --json would replace it: name another"):
            check_outputs([("--json", path)], [read])
    with pytest.raises(UserError, match="read is read here"):
        check_outputs([("--json", read)], [link])
    with pytest.raises(UserError, match=f"--json and --details are the same file, {tmp_path}/a: name one for each"):
        check_outputs([("--json", tmp_path / "b" / ".." / "a"), ("--details", tmp_path / "a")], [read])
    check_outputs([("--json", None), ("--details", None), ("--out", tmp_path / "a")], [read, tmp_path / "not there"])

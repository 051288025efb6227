import os

import pytest

from dualmode.errors import UserError
from dualmode.results.output import write_json_file, write_lines, write_together


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

import os

import pytest

from dualmode.errors import UserError
from dualmode.results.output import write_json_file, write_lines


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

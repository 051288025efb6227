"""Files that are whole or not there."""

import errno
import os
import platform

import pytest

from dualmode_runtime.files import atomic_path, atomic_write, remove_temporary


def test_two_machines_write_one_file_in_processes_of_the_same_number(tmp_path, monkeypatch):
    """As in containers, where each has its own numbers: the last one wins, and none loses its file to the other."""
    with atomic_write(tmp_path / "list") as first:
        first.write("first")
        monkeypatch.setattr(platform, "node", lambda: "another")
        with atomic_write(tmp_path / "list") as second:
            second.write("second")
        assert (tmp_path / "list").read_text() == "second"
    assert (tmp_path / "list").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["list"]


@pytest.mark.parametrize(("number", "named"), [(errno.ENOSPC, True), (errno.EFBIG, True), (errno.EIO, False)])
def test_an_error_of_a_full_disk_names_the_file(tmp_path, number, named):
    with pytest.raises(OSError) as caught, atomic_path(tmp_path / "model.bin"):
        raise OSError(number, os.strerror(number))  # as write() does, without a name
    assert caught.value.filename == (str(tmp_path / "model.bin") if named else None)


@pytest.mark.parametrize("name", ["lists[1]", 250 * "x"])
def test_what_a_killed_process_left_of_a_file_is_removed(tmp_path, name):
    others = [tmp_path / other for other in (name, "lists1", ".lists[1].txt.tmp1")]
    with atomic_path(tmp_path / name) as left:
        left.write_text("whole")
    for path in (left, *others):
        path.write_text("there")
    remove_temporary(tmp_path / name)
    assert set(tmp_path.iterdir()) == set(others)

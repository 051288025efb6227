"""Files that are whole or not there."""

import platform

from dualmode_runtime.files import atomic_write


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

import pytest

from dualmode.data.corpus.audio_files import Cut
from dualmode.data.corpus.catalogue import Catalogue, Wanted
from dualmode.errors import UserError


def test_a_full_disk_is_one_sentence_and_leaves_no_database(tmp_path):
    path = tmp_path / ".import.sqlite"
    with pytest.raises(UserError, match=r"import.sqlite cannot be written or sorted \(database or disk is full\)"):
        with Catalogue(path) as catalogue:
            catalogue._db.execute("pragma max_page_count = 10")  # SQLite's own end of the disk, in pages of 4 kB
            for number in range(1000):
                catalogue.add(Wanted(f"u{number}", "train", None, "a word", Cut("a.wav", float(number))), "here")
    assert not path.exists()

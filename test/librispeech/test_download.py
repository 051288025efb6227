"""Downloading a part, from a server in this process that ends connections and knows ranges."""

import hashlib
import http.server
import io
import re
import tarfile
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from dualmode.errors import UserError

LOCAL = Path(__file__).parents[2] / "egs" / "librispeech" / "local"
PART = "dev-clean"


def make_archive(members: dict[str, bytes], link: str = "") -> bytes:
    """Return a tar.gz of files; ``link`` is one more member, a symbolic link to /etc/passwd."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o4777
            archive.addfile(info, io.BytesIO(data))
        if link:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(info)
    return buffer.getvalue()


GOOD = make_archive(
    {
        "LibriSpeech/SPEAKERS.TXT": b"14 | F | dev-clean | 8 | x\n",
        f"LibriSpeech/{PART}/14/208/14-208-0000.flac": bytes(range(256)) * 200,
    }
)


class Server:
    """Serves ``content`` under every address; ends each of the first ``breaks`` connections half-way."""

    def __init__(self, content: bytes):
        self.content, self.breaks, self.ranges, self.knows_ranges, self.status = content, 0, [], True, None
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked = self.headers.get("Range")
                server.ranges.append(asked)
                if server.status:
                    self.send_error(server.status)
                    return
                start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and server.knows_ranges else 0
                data = server.content[start:]
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if server.breaks:
                    server.breaks -= 1
                    data = data[: len(data) // 2]
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()  # s between looks


@pytest.fixture
def download(monkeypatch):
    monkeypatch.syspath_prepend(LOCAL)
    import download

    monkeypatch.setattr(download, "PAUSE_S", 0.0)
    return download


@pytest.fixture
def server(monkeypatch, download):
    from parts import Archive

    def start(content: bytes = GOOD) -> Server:
        archive = Archive(len(content), hashlib.md5(content).hexdigest())
        monkeypatch.setitem(download.ARCHIVES, PART, archive)
        started.append(Server(content))
        return started[0]

    started = []
    yield start
    for one in started:
        one.http.shutdown()
        one.http.server_close()


def test_a_part_is_fetched_once_and_its_archive_removed(download, server, tmp_path):
    root, one = tmp_path / "downloads" / "LibriSpeech", server()
    download.fetch(PART, root, one.url)
    audio = root / PART / "14" / "208" / "14-208-0000.flac"
    assert len(audio.read_bytes()) == 256 * 200 and audio.stat().st_mode & 0o7000 == 0
    assert (root / "SPEAKERS.TXT").is_file()
    assert sorted(path.name for path in tmp_path.rglob("*") if path.parent in (root, root.parent)) == [
        "LibriSpeech", "SPEAKERS.TXT", PART
    ]  # fmt: skip
    download.fetch(PART, root, one.url)
    assert one.ranges == [None]


def test_a_connection_that_ends_is_taken_up_where_it_was(download, server, tmp_path):
    one = server()
    one.breaks = 2
    download.fetch(PART, tmp_path / "LibriSpeech", one.url)
    half = len(GOOD) // 2
    assert one.ranges == [None, f"bytes={half}-", f"bytes={half + (len(GOOD) - half) // 2}-"]


def test_a_killed_download_goes_on(download, server, tmp_path):
    one = server()
    (tmp_path / f"{PART}.tar.gz").write_bytes(GOOD[:100])
    download.fetch(PART, tmp_path / "LibriSpeech", one.url)
    assert one.ranges == ["bytes=100-"]


def test_a_server_without_ranges_sends_the_whole_file(download, server, tmp_path):
    one = server()
    one.knows_ranges = False
    (tmp_path / f"{PART}.tar.gz").write_bytes(b"x" * 100)
    download.fetch(PART, tmp_path / "LibriSpeech", one.url)
    assert (tmp_path / "LibriSpeech" / PART).is_dir()


@pytest.mark.parametrize("known", ["as it is", "longer"])
def test_a_page_in_place_of_the_archive_replaces_nothing(download, server, tmp_path, known):
    """As a network answers that wants to know who one is."""
    one = server()
    one.knows_ranges, one.content = False, b"<html>" if known == "as it is" else GOOD + b"more"
    (tmp_path / f"{PART}.tar.gz").write_bytes(GOOD[:100])
    with pytest.raises(UserError, match=f"the answer has {len(one.content)} bytes, where {len(GOOD)} of the archive"):
        download.fetch(PART, tmp_path / "LibriSpeech", one.url)
    assert (tmp_path / f"{PART}.tar.gz").read_bytes() == GOOD[:100]


def test_a_damaged_archive_is_refused_and_removed(download, server, tmp_path):
    one = server()
    one.content = GOOD[:-1] + b"!"
    with pytest.raises(UserError, match="is damaged .* was removed: run the command again"):
        download.fetch(PART, tmp_path / "LibriSpeech", one.url)
    assert not (tmp_path / f"{PART}.tar.gz").exists()


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (503, 5)])
def test_a_server_that_refuses(download, server, tmp_path, status, tries):
    one = server()
    one.status = status
    with pytest.raises(UserError, match=f"cannot download .*{status}.*: check the network or name another --mirror"):
        download.fetch(PART, tmp_path / "LibriSpeech", one.url)
    assert len(one.ranges) == tries


@pytest.mark.parametrize(
    "content",
    [
        make_archive({"../escaped": b"x"}),
        make_archive({"LibriSpeech/../../escaped": b"x"}),
        make_archive({"/tmp/escaped": b"x"}),
        make_archive({}, link=f"LibriSpeech/{PART}/link"),
    ],
)
def test_members_outside_the_corpus_are_refused(download, server, tmp_path, content):
    one = server(content)
    with pytest.raises(UserError, match="which is no file below LibriSpeech/"):
        download.fetch(PART, tmp_path / "a" / "b" / "LibriSpeech", one.url)
    assert not list(tmp_path.rglob("escaped")) and not list(tmp_path.rglob("link"))


def test_too_little_disk_space(download, monkeypatch, tmp_path):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: SimpleNamespace(free=700_000_000))
    with pytest.raises(UserError, match="train-clean-100 needs 12.8 GB of disk space, .* has 700.0 MB"):
        download.fetch("train-clean-100", tmp_path / "LibriSpeech", "http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("part", "mirror", "says"),
    [("dev-cleen", "http://x", "no part dev-cleen"), (PART, "file:///etc", "no http or https address")],
)
def test_impossible_addresses(download, tmp_path, part, mirror, says):
    with pytest.raises(UserError, match=says):
        download.fetch(part, tmp_path / "LibriSpeech", mirror)

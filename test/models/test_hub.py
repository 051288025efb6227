"""Models on the Hub: huggingface_hub's own client against an endpoint of ours on this machine; uploads are watched."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dualmode.bin import asr_train, check_config
from dualmode.errors import UserError
from dualmode.models import hub

pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed (the extra hub)")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Endpoint(BaseHTTPRequestHandler):
    """The calls of a download: what a repository holds, then each file."""

    files: dict[str, bytes] = {}
    asked: list[str] = []

    def do_HEAD(self):
        self.respond(body=False)

    def do_GET(self):
        self.respond(body=True)

    def respond(self, body: bool) -> None:
        self.asked.append(f"{self.command} {self.path}")
        path = self.path.split("?")[0]
        if path.startswith("/api/models/user/model/tree/"):
            rows = [{"type": "file", "path": n, "oid": self.etag(d), "size": len(d)} for n, d in self.files.items()]
            self.answer(json.dumps(rows).encode(), body)
        elif path.startswith("/api/models/user/model"):
            siblings = [{"rfilename": name} for name in self.files]
            self.answer(json.dumps({"id": "user/model", "sha": COMMIT, "siblings": siblings}).encode(), body)
        elif path.startswith("/user/model/resolve/") and (name := path.split("/", 5)[5]) in self.files:
            self.answer(self.files[name], body)
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.end_headers()

    @staticmethod
    def etag(data: bytes) -> str:
        return hashlib.sha1(data).hexdigest()

    def answer(self, data: bytes, body: bool) -> None:
        self.send_response(200)
        for name, value in (("ETag", f'"{self.etag(data)}"'), ("X-Repo-Commit", COMMIT), ("Content-Length", len(data))):
            self.send_header(name, str(value))
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def endpoint(tmp_path):
    """The environment of a client whose Hub is on this machine; what it holds and was asked is in Endpoint."""
    Endpoint.files, Endpoint.asked = {}, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    yield {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_DISABLE_XET": "1"}
    server.shutdown()
    server.server_close()


def call(environment, code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def packed(tmp_path, save_model):
    from dualmode.asr.build import build_asr_model
    from dualmode.bin.pack import main
    from dualmode.supernet.pruning import estimate_masks

    encoder = {"output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 2}
    conf, tokens = {"encoder_conf": encoder, "model_conf": {}}, ["<blank>", "<unk>", "a"]
    model = build_asr_model(conf, tokens)
    estimate_masks(model, model.encoder.config.pruning)
    folder = save_model(tmp_path / "model", conf, tokens, model)
    main([str(folder), "--out", str(tmp_path / "packed")])
    return tmp_path / "packed"


def test_a_model_is_fetched_opened_packed_again_and_checked_and_nothing_else_is_fetched(packed, endpoint, tmp_path):
    for path in filter(Path.is_file, packed.rglob("*")):
        Endpoint.files[str(path.relative_to(packed))] = path.read_bytes()
    Endpoint.files["model.pkl"] = b"code that would run"
    code = f"""
from dualmode.recognizer import Recognizer
from dualmode.bin import check_streaming, pack
recognizer = Recognizer.from_pretrained("hf:user/model", revision="v1")
print(recognizer.subnet)
pack.main(["hf:user/model@v1", "--out", {str(tmp_path / "again")!r}])
check_streaming.main(["--model", "hf:user/model@v1", "--subnet", "sparse"])
"""
    done = call(endpoint, code)
    assert done.returncode == 0, done.stderr
    assert "sparse 70 %" in done.stdout and "EQUAL: 1 sub-networks" in done.stdout
    assert (tmp_path / "again/model.safetensors").read_bytes() == (packed / "model.safetensors").read_bytes()
    assert any("/revision/v1" in path for path in Endpoint.asked)
    assert not any("model.pkl" in path for path in Endpoint.asked)


def test_what_a_repository_has_no_more_is_not_opened(endpoint, tmp_path, monkeypatch):
    """A sub-network was there, then a supernet of the same name: subnet.json would be opened first."""
    code = "from dualmode.models.hub import fetch; print(sorted(p.name for p in fetch('hf:user/model').glob('*.json')))"
    Endpoint.files |= {"subnet.json": b"{}", "tokens/tokens.txt": b"a"}
    assert call(endpoint, code).stdout == "['subnet.json']\n"
    monkeypatch.setattr(sys.modules[__name__], "COMMIT", COMMIT[::-1])  # the client keeps the list of each
    Endpoint.files = {"config.yaml": b"", "cmvn.json": b"{}"}
    done = call(endpoint, code)
    assert done.stdout == "['cmvn.json']\n", done.stderr
    assert not any(tmp_path.rglob("tokens.txt"))
    offline = call(endpoint | {"HF_HUB_OFFLINE": "1"}, code)  # what was fetched counts
    assert offline.stdout == "['cmvn.json']\n", offline.stderr


@pytest.mark.parametrize("command", [asr_train, check_config])
def test_a_training_starts_from_a_model_of_the_hub(command, monkeypatch, tmp_path):
    monkeypatch.setattr("dualmode.models.options.fetch", {"hf:user/model": tmp_path}.get)
    parser = command.get_parser()
    for action in parser._actions:
        action.required = False
    assert parser.parse_args(["--init", "hf:user/model"]).init == tmp_path


def test_what_is_not_there_is_one_sentence(endpoint):
    done = subprocess.run(
        [sys.executable, "-m", "dualmode", "pack", "hf:user/other", "--out", "x"],
        env=endpoint, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr.startswith("error: hf:user/other cannot be fetched: ")
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_mistyped_path_never_goes_online(endpoint):
    done = subprocess.run(
        [sys.executable, "-m", "dualmode", "pack", "user/model", "--out", "x"],
        env=endpoint, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2 and "there is no folder user/model" in done.stderr
    assert Endpoint.asked == []


@pytest.mark.parametrize("name", ["hf:model", "hf:a/b/c", "hf:user/model@", "hf:user/../model", "hf:user/model@v 1"])
def test_names_that_are_none(name):
    with pytest.raises(UserError, match="is no model on the Hub"):
        hub.repository(name)


def test_two_revisions_contradict_each_other():
    assert hub.repository("hf:a/b", "v1") == ("a/b", "v1")
    with pytest.raises(UserError, match="contradict"):
        hub.repository("hf:a/b@v2", "v1")


def test_only_the_files_of_a_packed_model_are_sent(packed, monkeypatch):
    import huggingface_hub

    calls = []

    class Api:
        endpoint = "https://hub.example"

        def __init__(self, **options):
            pass

        def create_repo(self, repo, **options):
            calls.append((repo, options))

        def upload_folder(self, **options):
            calls.append(options)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    (packed / "optimizer.pth").write_bytes(b"")
    assert hub.push(packed, "hf:user/model@v1", private=True) == "https://hub.example/user/model"
    (repo, options), sent = calls
    assert repo == "user/model" and options == {"private": True, "exist_ok": True}
    chosen = huggingface_hub.utils.filter_repo_objects(
        [str(path.relative_to(packed)) for path in packed.rglob("*") if path.is_file()],
        allow_patterns=sent["allow_patterns"],
    )
    written = {"README.md", "config.yaml", "cmvn.json", "model.safetensors"}
    assert {name for name in chosen if not name.startswith("tokens/")} == written
    assert sent["revision"] == "v1" and sent["folder_path"] == packed
    # Of what was pushed there before, this folder's own kinds of files go; the Hub keeps those that are sent again.
    assert "subnet.json" in sent["delete_patterns"] and set(sent["delete_patterns"]) == set(hub.FILES)


def test_a_folder_of_checkpoints_is_not_sent(tmp_path):
    (tmp_path / "valid.ter.best.pth").write_bytes(b"")
    with pytest.raises(UserError, match="holds no safetensors"):
        hub.push(tmp_path, "hf:user/model")


def test_the_card_begins_with_what_the_hub_reads(packed):
    import yaml

    head, _ = (packed / "README.md").read_text().removeprefix("---\n").split("\n---\n", 1)
    assert yaml.safe_load(head)["library_name"] == "dualmode"

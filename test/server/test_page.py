"""The page of a server in headless Chromium: its token, the second pass, listening on the server, and being alone."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import soundfile

from dualmode.recognizer import Recognizer

ROOT = Path(__file__).parents[2]
MODULES = Path(os.environ.get("DUALMODE_NODE", ROOT / "tools" / "node"))
PAGE = ROOT / "dualmode" / "device" / "wasm" / "page"
TOKEN = "0123456789abcdef"
NOT_KEPT = ("index.html", "kept.js")  # the one as "./", the other by browsers themselves


def test_differences():
    if not shutil.which("node"):
        pytest.skip("there is no node: apt install nodejs")
    pairs = [("a b c", "a x c"), ("", "a"), ("a", ""), ("a b", "a b"), ("b c", "a b c d"), ("a a b", "a b b")]
    script = f"""
    import {{ differences }} from {json.dumps((PAGE / "differences.js").as_uri())};
    console.log(JSON.stringify({json.dumps(pairs)}.map(([a, b]) => differences(a, b))));
    """
    command = ["node", "--input-type=module", "--eval", script]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    for (before, after), parts in zip(pairs, found, strict=True):
        assert " ".join(part["text"] for part in parts if part["kind"] != "added") == before
        assert " ".join(part["text"] for part in parts if part["kind"] != "gone") == after
    shown = [[f"{part['kind'][0]}:{part['text']}" for part in parts] for parts in found]
    assert shown[0] == ["s:a", "g:b", "a:x", "s:c"] and shown[4] == ["a:a", "s:b c", "a:d"]
    assert shown[3] == ["s:a b"] and sum(part["kind"] == "same" for part in found[5]) >= 1


def test_the_policy_lets_nothing_in_from_elsewhere():
    pytest.importorskip("starlette", reason="dualmode[server] is not installed: tools/setup.sh --with-server")
    from dualmode.server.page import POLICY

    assert "unsafe-inline" not in POLICY and "unsafe-eval'" not in POLICY.replace("wasm-unsafe-eval'", "")
    for page in (*PAGE.glob("*.html"), *PAGE.glob("*.js")):
        text = page.read_text(encoding="utf-8")
        assert "style=" not in text and "onclick=" not in text and "innerHTML" not in text and "//cdn" not in text


def test_all_files_are_kept_for_a_page_without_a_network():
    from dualmode.server.page import FILES

    lists = re.findall(r"^const (?:PAGE|ENGINE) = (\[.*\]);$", (PAGE / "kept.js").read_text(), flags=re.MULTILINE)
    page, engine = map(json.loads, lists)
    assert sorted(page) == sorted(["./", *(path.name for path in PAGE.iterdir() if path.name not in NOT_KEPT)])
    assert sorted(engine) == sorted(f"../{name}" for name in FILES)


@pytest.mark.slow
def test_the_page_of_a_server(serve, ctc_dir, noise, tmp_path):
    chromium = shutil.which("chromium")
    if not chromium or not shutil.which("node"):
        pytest.skip("there is no chromium, or no node: apt install chromium nodejs")
    if not (MODULES / "node_modules" / "playwright-core").is_dir():
        pytest.skip(f"there is no playwright-core: npm install --prefix {MODULES} playwright-core")
    wav = tmp_path / "speech.wav"
    soundfile.write(wav, noise(3, 5), 16000)
    with serve(model=ctc_dir, DUALMODE_TOKEN=TOKEN) as server:
        script = Path(__file__).with_name("page_served.mjs")
        command = ["node", script, MODULES, chromium, server.url, TOKEN, wav, str(server.process.pid)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    seen = json.loads(result.stdout)
    assert seen["problems"] == [] and not seen["wide"] and seen["address"] == f"{server.url}page/"
    assert seen["focus"] == "remote" and "all sound is sent there" in seen["told"]
    here, there = seen["lines"][:2]
    dense = Recognizer.from_pretrained(ctc_dir, "dense").transcribe(wav).text
    assert here["second"] == dense != here["first"] and here["pass"] == "second"
    assert "corrected: " in here["said"] or "not: " in here["said"]
    assert there["pass"] == "second" and there["first"] == here["first"]
    assert seen["offline"]["pass"] == "first" and seen["offline"]["said"] == here["first"]
    assert seen["again"] == seen["offline"]
    assert re.fullmatch(r"\d+ ms", seen["delay"])  # of the words that the server heard from the microphone

"""The page of the WebAssembly engine in headless Chromium: a file, a microphone, the keyboard, a damaged model."""

import json
import os
import shutil
import subprocess
import sys
from difflib import SequenceMatcher
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "egs" / "mini" / "demo"
MODULES = Path(os.environ.get("DUALMODE_NODE", ROOT / "tools" / "node"))


@pytest.fixture
def site():
    """The repository by Python's own web server, on loopback."""
    command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(ROOT), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        port = process.stdout.readline().split("port ")[1].split()[0]
        yield f"http://127.0.0.1:{port}"
        process.terminate()


@pytest.fixture
def seen(site, tmp_path):
    chromium = shutil.which("chromium")
    if not chromium or not shutil.which("node"):
        pytest.skip("there is no chromium, or no node: apt install chromium nodejs")
    if not (MODULES / "node_modules" / "playwright-core").is_dir():
        pytest.skip(f"there is no playwright-core: npm install --prefix {MODULES} playwright-core")
    url = f"{site}/dualmode/device/wasm/page/index.html"
    command = ["node", Path(__file__).with_name("page_check.mjs"), MODULES, chromium, url]
    result = subprocess.run(
        [*command, DEMO / "temperature.wav", DEMO / "sparse.dmdl", tmp_path / "page.png"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.slow
def test_the_page_is_used(seen):
    text = "what is the temperature in the bedroom"
    assert seen["problems"] == [] and not seen["wide"]
    assert seen["file"] == [text]
    assert " ".join(word for word, _, _ in seen["rows"]) == text
    assert all(float(delay) > 0 for _, _, delay in seen["rows"]) and seen["delay"].endswith(" ms")
    assert seen["loaded"].startswith("1.4") and 0 < float(seen["rtf"]) < 5
    # The fake microphone begins anywhere, and plays the recording again and again.
    assert seen["focus"] == "microphone"
    assert len(seen["growing"].split()) > 3
    assert seen["again"] == text  # by the model before the damaged one
    assert seen["chosen"] == "" and seen["usable"]
    assert seen["asking"] and seen["decoding"] and seen["alone"] == text
    assert seen["tracks"] == ["ended"]
    # On a busy machine the browser's fake microphone drops sound, and letters with it: some part is whole all the same.
    microphone = " ".join(seen["microphone"])
    longest = SequenceMatcher(None, microphone, f"{text} {text}", autojunk=False).find_longest_match()
    assert longest.size >= 8, microphone

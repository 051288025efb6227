"""Every reader of files, given files that are cut off, damaged or put together at random: a sentence, and nothing else.

A few damages of each run with all tests, many more with ``--slow``; a failure names reader and seed.
"""

import gzip
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import torch

from dualmode.align.ctm import read_ctm
from dualmode.asr.build import build_asr_model
from dualmode.config import from_mapping
from dualmode.data.corpus.sources import Reading, Source, rows_of
from dualmode.data.features import FeatureTable
from dualmode.data.kaldi_dir import open_kaldi_dir
from dualmode.data.make_tokens import make_token_list
from dualmode.data.rejection import Rejection, read_rejections, write_rejections
from dualmode.data.tokens import Tokenizer
from dualmode.device.fallback import TorchDevice
from dualmode.device.pack import pack_model
from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.subsampling import GlobalNorm
from dualmode.errors import UserError
from dualmode.models.folder import ModelFolder
from dualmode.models.one_subnet import save_one_subnet
from dualmode.models.weights import load_cmvn
from dualmode.models.yaml_file import read_yaml
from dualmode.results.compare import read_rows
from dualmode.results.decodes import FIELDS, Fields, read_meta
from dualmode.results.device import FIELDS as DEVICE_FIELDS
from dualmode.results.device import device_section, read_devices
from dualmode.results.text import read_text
from dualmode.search.arpa import read_arpa
from dualmode.search.options import read_phrases
from dualmode.supernet.pruning import estimate_masks
from dualmode.supernet.subnet import Context, Subnet
from dualmode.tasks.history import read_history
from dualmode_runtime.audio.fault import Reason

FEW, MANY = 25, 1000
INSERTED = (b"\n", b" ", b"\0", b"\r", b"-", b"9" * 30, b"nan", b"\xc2\xa0", b"{", b"[" * 400)
SIZES = {
    "output_size": 16, "num_blocks": 1, "attention_heads": 2, "linear_units": 16, "kernel_size": 3,
    "subsampling_channels": 4, "chunk_ms": [160], "left_ms": [320], "sparsities": [0.5], "block": [4, 4],
}  # fmt: skip
MANIFEST = "".join(f'{{"audio": "{number}.wav", "text": "turn on", "offset": {number / 7}}}\n' for number in range(500))
TOKENS = ["<blank>", "<unk>", "<space>", *"abc"]
ARPA = """\\data\\
ngram 1=4
ngram 2=2

\\1-grams:
-1.0 <unk>
-0.5 <s> -0.3
-0.7 on -0.1
-0.9 </s>

\\2-grams:
-0.2 <s> on
-0.4 on </s>

\\end\\
"""


@dataclass(frozen=True)
class Reader:
    """A folder of good files, which of them are damaged, and what reads it."""

    folder: Path
    files: tuple[str, ...]
    read: Callable[[Path], object]


def damage(data: bytes, draw: random.Random) -> bytes:
    """Return the bytes cut off, with some changed, put in, taken out or repeated."""
    raw = bytearray(data)
    for _ in range(draw.choice([1, 1, 2, 5])):
        at, kind = draw.randrange(len(raw) + 1), draw.randrange(6)
        if kind == 0:
            del raw[at:]
        elif kind == 1 and at < len(raw):
            raw[at] = draw.choice([0, 1, 0x1B, 0x20, 0x0A, 0x7F, 0x80, 0xFF, draw.randrange(256)])
        elif kind == 2:
            raw[at:at] = draw.choice(INSERTED)
        elif kind == 3:
            del raw[at : at + draw.choice([1, 2, 8, 100])]
        elif kind == 4:
            raw[at:at] = raw[max(at - draw.choice([4, 20, 200]), 0) : at]
        elif at + 4 <= len(raw):
            raw[at : at + 4] = draw.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\x80"])
    return bytes(raw)


def lists(folder: Path) -> Reader:
    folder.mkdir()
    for name, value in (("wav.scp", "a.wav"), ("utt2spk", "s"), ("text", "on a b"), ("utt2dur", "1.5")):
        (folder / name).write_text(f"s-1 {value}\ns-2 {value}\n")
    (folder / "spk2utt").write_text("s s-1 s-2\n")
    files = ("wav.scp", "utt2spk", "text", "utt2dur", "spk2utt")
    return Reader(folder, files, lambda copy: list(open_kaldi_dir(copy).utterances()))


def features(folder: Path) -> Reader:
    folder.mkdir()
    matrix = np.ones((9, 4), np.float32)
    kaldiio.save_ark(str(folder / "x.ark"), {"u1": matrix, "u2": matrix})
    place = folder.parent / "copy" / "x.ark"
    (folder / "feats.scp").write_text(f"u1 {place}:3\nu2 {place}:{3 + 15 + matrix.nbytes + 3}\n")
    return Reader(folder, ("feats.scp", "x.ark"), lambda copy: dict(FeatureTable(copy / "feats.scp")))


def tokens(folder: Path) -> Reader:
    make_token_list(["turn on the light", "turn off"], folder, "bpe", vocab_size=14)
    return Reader(folder, ("tokens.txt", "tokens.json", "bpe.model"), lambda copy: Tokenizer.load(copy).encode("on a"))


def single(name: str, content: str | bytes, read: Callable[[Path], object]) -> Callable[[Path], Reader]:
    def make(folder: Path) -> Reader:
        folder.mkdir()
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return Reader(folder, (name,), lambda copy: read(copy / name))

    return make


def rejected(folder: Path) -> Reader:
    folder.mkdir()
    write_rejections(folder / "rejected.tsv", [Rejection("u1", Reason.NO_TEXT, "nothing")] * 2)
    return Reader(folder, ("rejected.tsv",), lambda copy: read_rejections(copy / "rejected.tsv"))


def trained():
    torch.manual_seed(0)
    model = build_asr_model({"encoder_conf": SIZES}, TOKENS)
    estimate_masks(model, model.encoder.config.pruning)
    return model.eval()


def one_subnet(folder: Path) -> Reader:
    source = folder.parent / "tokens of a subnet"
    make_token_list(["abc"], source, "char")
    save_one_subnet(trained(), 0.5, {"encoder_conf": SIZES, "model_conf": {}}, source, folder, "latest.pth")
    files = ("subnet.safetensors", "subnet.json", "tokens/tokens.txt")
    return Reader(folder, files, lambda copy: ModelFolder.open(copy).load(Subnet(0.5, Context(4, 8))))


def checkpoint(folder: Path) -> Reader:
    import yaml

    make_token_list(["abc"], folder / "tokens", "char")
    (folder / "config.yaml").write_text(yaml.safe_dump({"encoder_conf": SIZES, "model_conf": {}}))
    torch.save(trained().state_dict(), folder / "model.pth")
    return Reader(folder, ("model.pth", "config.yaml"), lambda copy: ModelFolder.open(copy).load(Subnet()))


def device(folder: Path) -> Reader:
    data = pack_model(trained(), "char", Subnet(0.5, Context(4, 8)), "int8")
    return single("m.dmdl", data, lambda path: TorchDevice(path.read_bytes(), str(path)))(folder)


def said(fields: Fields) -> dict:
    """Return values of the types that a table names."""
    return {key: {str: "test", int: 2}[types[0]] for key, types in fields.items()} | {"sparsity": 0.7}


def of_a_device(folder: Path) -> Reader:
    files = {"device_x/device.json": json.dumps(said(DEVICE_FIELDS)), "device_x/text": "u1 on\nu2\n"}
    for name, content in (files | {"test/text": "u1 on\nu2 off\n"}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return Reader(folder, ("device_x/device.json",), lambda copy: list(device_section(read_devices(copy, copy)[0])))


ROW = {"set": "test", "sparsity": 0.7, "wer": 8.5, "chunk_ms": 640, "lookahead_ms": 0, "left_ms": None}
YAML = "encoder_conf: {output_size: 144, chunk_ms: [640, null], dropout_rate: 0.1}\n"
HISTORY = "".join(f'{{"epoch": 1, "phase": "{phase}", "stats": {{"loss": 2.5}}}}\n' for phase in ("train", "valid"))
CMVN = '{"frames": 9, "mean": [0.0, 1.0], "std": [1.0, 2.0]}\n'


def imported(path: Path) -> None:
    _, rows = rows_of(Source(path), Reading({}))
    for _ in rows:
        pass


READERS = {
    "Kaldi folder": lists,
    "features": features,
    "token list": tokens,
    "YAML": single("c.yaml", YAML, lambda path: from_mapping(EncoderConfig, read_yaml(path).get("encoder_conf"), "c")),
    "ARPA": single("lm.arpa", ARPA, read_arpa),
    "compressed ARPA": single("lm.arpa.gz", gzip.compress(ARPA.encode()), read_arpa),
    "compressed manifest": single("m.jsonl.gz", gzip.compress(MANIFEST.encode(), mtime=0), imported),
    "transcripts": single("text", "u1 turn on\nu2\n", read_text),
    "word times": single("ctm", "u1 1 0.10 0.20 turn\nu1 1 0.30 0.20 on\n", read_ctm),
    "results": single("results.json", json.dumps([ROW, ROW | {"set": "other"}]), read_rows),
    "decoding": single("decode.json", json.dumps(said(FIELDS)), read_meta),
    "decoding on a device": of_a_device,
    "hotwords": single("hotwords", "turn on\nlight\n", read_phrases),
    "rejected utterances": rejected,
    "history": single("history.jsonl", HISTORY, lambda path: read_history(path.parent)),
    "mean and variance": single("cmvn.json", CMVN, lambda path: load_cmvn(GlobalNorm(2), path)),
    "one sub-network": one_subnet,
    "checkpoint": checkpoint,
    "device file": device,
}


def try_all(reader: Reader, copy: Path, count: int) -> int:
    """Read so many damaged copies; return how many were refused."""
    copy.mkdir()
    whole = {path.relative_to(reader.folder): path.read_bytes() for path in reader.folder.rglob("*") if path.is_file()}
    for path, data in whole.items():
        (copy / path).parent.mkdir(exist_ok=True)
        (copy / path).write_bytes(data)
    reader.read(copy)
    refused = 0
    for seed in range(count):
        draw = random.Random(seed)
        name = Path(draw.choice(reader.files))
        (copy / name).write_bytes(damage(whole[name], draw))
        try:
            reader.read(copy)
        except UserError as error:
            refused += 1
            assert str(error), seed
        except BaseException as error:
            raise AssertionError(f"seed {seed}, {name}: {type(error).__name__}: {error}") from error
        (copy / name).write_bytes(whole[name])
    return refused


@pytest.mark.parametrize("kind", READERS)
def test_a_few_damages(tmp_path, kind):
    refused = try_all(READERS[kind](tmp_path / "good"), tmp_path / "copy", FEW)
    assert refused > 2 or kind == "history"


@pytest.mark.slow
@pytest.mark.parametrize("kind", READERS)
def test_many_damages(tmp_path, kind):
    refused = try_all(READERS[kind](tmp_path / "good"), tmp_path / "copy", MANY)
    assert refused or kind == "history"  # whose damaged lines are left out

"""YAML that asks for too much, or for something else than a configuration."""

import os
import random
import string

import pytest
import yaml

from dualmode.config import from_mapping
from dualmode.encoder.config import EncoderConfig
from dualmode.errors import UserError
from dualmode.models.yaml_file import MOST_BYTES, read_yaml


def read(tmp_path, text: str | bytes) -> dict:
    (tmp_path / "c.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    return read_yaml(tmp_path / "c.yaml")


def laughs(template: str, levels: int = 9) -> str:
    lines = ["a0: &a0 [x, y]"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} " + template.format(",".join([f"*a{level - 1}"] * 10)))
    return "\n".join(lines)


HOSTILE = {
    "a date that is none": "x: 2001-13-45",
    "a date": "x: 2001-12-13",
    "an integer that is none": "x: !!int abc",
    "a timestamp that is none": "x: !!timestamp abc",
    "a bool that is none": "x: !!bool abc",
    "binary": "x: !!binary aGVsbG8=",
    "a set": "x: !!set {a, b}",
    "an object": "x: !!python/object/apply:os.system [id]",
    "deep lists": "x: " + "[" * 3000 + "]" * 3000,
    "deep mappings": "x: " + "{a: " * 100 + "1" + "}" * 100,
    "aliases": laughs("[{}]"),
    "merge keys": "a0: &a0 {x: 1}\n"
    + "\n".join(f"a{n + 1}: &a{n + 1} {{<<: [{','.join([f'*a{n}'] * 10)}]}}" for n in range(8)),
    "itself": "x: &x [*x]",
    "an alias of nothing": "x: *y",
    "two documents": "x: 1\n---\ny: 2",
    "a key twice": "x: 1\nx: 2",
    "a list as a key": "? [a]\n: 1",
    "a number as a key": "1: x",
    "a switch as a key": "on: x",
    "a huge number": "x: " + "9" * 5000,
    "a large number": "x: 99999999999999999999",
    "a tab": "x:\n\t- y",
    "a control character": "x: \x07",
    "not UTF-8": b"x: caf\xe9",
    "a list": "- x",
    "text": "hello",
    "nothing": "",
    "too much": "x: [" + "1," * (MOST_BYTES // 2) + "1]",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_yaml_is_one_sentence_at_once(tmp_path, kind):
    with pytest.raises(UserError, match="c.yaml") as error:
        read(tmp_path, HOSTILE[kind])
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


def test_what_configurations_hold_is_read(tmp_path):
    text = "a: &id1 [1, 2.5, null, true, 'x']\nb: *id1\nc: {d: {e: .inf}}  # and a comment\n"
    values = [1, 2.5, None, True, "x"]
    assert read(tmp_path, text) == {"a": values, "b": values, "c": {"d": {"e": float("inf")}}}


def test_what_is_no_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, tmp_path / "fifo" / "x"):
        with pytest.raises(UserError, match=str(path)):
            read_yaml(path)
    with pytest.raises(UserError, match="there is no file"):
        read_yaml(tmp_path / "none")


@pytest.mark.parametrize(
    ("conf", "sentence"),
    [
        (7, "it must hold keys and values"),
        ({"output_size": "big"}, "output_size is 'big'"),
        ({"output_size": 2**40}, "parameters, more than"),
        ({"num_blocks": 10**9}, "num_blocks is 1000000000: it must be at most 1000"),
        ({"subsampling_channels": 10**7}, "parameters, more than"),
        ({"chunk_ms": "640"}, "chunk_ms"),
        ({"chunk_ms": ["x"]}, "chunk_ms is .*: it must be a list, each of it a number or null"),
        ({"chunk_ms": [640] * 1000}, "chunk_ms lists 1000 values"),
        ({"chunk_ms": [float("inf")]}, "chunk_ms"),
        ({"left_ms": [[1]]}, "left_ms"),
        ({"sparsities": ["a", 0.5]}, "sparsities"),
        ({"block": [8, "4"]}, "block"),
        ({"layer_share": [1]}, "encoder_conf"),
        ({"granularity": ["units"]}, "granularity"),
        ({"dropout_rate": "0.1"}, "dropout_rate is '0.1': it must be a number"),
        ({"training_precision": None}, "training_precision"),
        ({"ouput_size": 1}, "no key 'ouput_size'; did you mean 'output_size'"),
    ],
)
def test_types_and_sizes_are_checked_before_memory_is_asked_for(conf, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        from_mapping(EncoderConfig, conf, "encoder_conf")
    assert "encoder_conf" in str(error.value)


def test_random_damage_of_yaml_is_a_sentence(tmp_path):
    draw = random.Random(0)
    whole = yaml.safe_dump({"encoder_conf": {"output_size": 144, "chunk_ms": [640, None]}, "optim": "adam", "x": [1.5]})
    signs = string.printable + "\x00\x85\ufeff&*!<{[|>%@`"
    for _ in range(400):
        text = list(whole)
        for _ in range(draw.randint(1, 4)):
            text.insert(draw.randrange(len(text)), draw.choice(signs) * draw.choice([1, 1, 3]))
            del text[draw.randrange(len(text))]
        try:
            from_mapping(EncoderConfig, read(tmp_path, "".join(text)).get("encoder_conf"), "encoder_conf")
        except UserError as error:
            assert "c.yaml" in str(error) or "encoder_conf" in str(error)

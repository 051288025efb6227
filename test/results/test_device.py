"""Reading what stage 7 left: rows, and one clear sentence for what is missing or damaged."""

import hashlib
import json

import pytest

from dualmode.errors import UserError
from dualmode.results.device import FIELDS, device_section, read_devices

from .conftest import DEVICE


def test_a_row_holds_what_was_measured(on_device):
    exp, data, _ = on_device
    [row], [] = read_devices(exp, data)
    assert row == DEVICE | {"wer": 40.0, "cer": pytest.approx(100 * 5 / 21)}
    assert any("1 of 2" in line and "| 40.00 |" in line for line in device_section([row]))


@pytest.mark.parametrize("key", FIELDS)
def test_every_field_is_needed_and_of_its_type(on_device, key):
    exp, data, write = on_device
    write(**{key: ["no such value"]})
    with pytest.raises(UserError, match=f"device_engine_int8_test/device.json: {key!r} cannot be .*run stage 7 again"):
        read_devices(exp, data)
    path = exp / "device_engine_int8_test" / "device.json"
    path.write_text(json.dumps({other: value for other, value in DEVICE.items() if other != key}))
    with pytest.raises(UserError, match=f"device.json has no {key!r}; run stage 7 again"):
        read_devices(exp, data)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"rtf": None}, "'rtf' cannot be None"),
        ({"peak_memory_bytes": None}, "'peak_memory_bytes' cannot be None"),
        ({"bytes": "x"}, "'bytes' cannot be 'x'"),
        ({"bytes": True}, "'bytes' cannot be True"),
        ({"rtf": float("inf")}, "not valid JSON .*Infinity"),
        ({"sparsity": 1.2}, "sparsity is a share"),
        ({"utterances": 3}, "has 2 utterances but device.json says 3; run stage 7 again"),
        ({"set": "nowhere"}, "there is no reference .*nowhere/text"),
    ],
)
def test_what_cannot_be_is_one_sentence(on_device, change, message):
    exp, data, write = on_device
    write(**change)
    with pytest.raises(UserError, match=message):
        read_devices(exp, data)


@pytest.mark.parametrize("content", ["", "{", "[1]", "[" * 100_000])
def test_damaged_json(on_device, content):
    (on_device[0] / "device_engine_int8_test" / "device.json").write_text(content)
    with pytest.raises(UserError, match="device_engine_int8_test/device.json .*run stage 7 again"):
        read_devices(*on_device[:2])


def test_what_was_compared_with_other_transcripts_is_left_out(on_device):
    exp, data, write = on_device
    decoded = exp / "decode_sparse_test" / "text"
    write(reference_sha256=hashlib.sha256(decoded.read_bytes()).hexdigest())
    [row], [] = read_devices(exp, data)
    assert row["runtime"] == "dualmode"
    decoded.write_text("u1 turn on the light\nu2 top\n")  # the model was trained again, and decoded
    assert read_devices(exp, data) == ([], ["device_engine_int8_test"])
    write(reference_sha256=None)  # compared with nothing
    assert read_devices(exp, data)[1] == []


def test_a_missing_text_is_named(on_device):
    (on_device[0] / "device_engine_int8_test" / "text").unlink()
    with pytest.raises(UserError, match="device_engine_int8_test has no text; run stage 7 again"):
        read_devices(*on_device[:2])

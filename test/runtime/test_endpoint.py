import pytest

from dualmode.errors import UserError
from dualmode_runtime.endpoint import Endpoint, Endpointing


@pytest.mark.parametrize(
    ("heard_ms", "last_token_ms", "expected"),
    [
        (0, None, None),
        (4999, None, None),
        (5000, None, Endpoint.NOTHING_SAID),
        (1999, 1000, None),
        (2000, 1000, Endpoint.SILENCE),
        (30000, 29500, Endpoint.TOO_LONG),
        (30000, 29000, Endpoint.SILENCE),
    ],
)
def test_rules_by_hand(heard_ms, last_token_ms, expected):
    assert Endpointing().check(heard_ms, last_token_ms) is expected


@pytest.mark.parametrize("name", ["silence_ms", "max_lead_ms", "max_utterance_ms"])
@pytest.mark.parametrize("value", [0, -5, float("nan")])
def test_impossible_times_are_one_sentence(name, value):
    with pytest.raises(UserError, match=f"endpointing: {name} is"):
        Endpointing(**{name: value})

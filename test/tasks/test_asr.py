"""The task of fine-tuning."""

import pytest
import torch

from dualmode.errors import UserError
from dualmode.tasks.asr import make_augment

MASKS = {"apply_time_warp": False, "freq_mask_width_range": [5, 6], "time_mask_width_range": [5, 6]}


def masked(conf) -> tuple[bool, bool]:
    """Return whether a bin is hidden in all frames, and a frame in all bins."""
    torch.manual_seed(0)
    augment = make_augment(conf)
    x = augment(torch.ones(1, 50, 80), torch.tensor([50])) if augment else torch.ones(1, 50, 80)
    return bool((x == 0).all(dim=1).any()), bool((x == 0).all(dim=2).any())


def test_none_of_a_kind_of_mask_is_no_mask_of_this_kind():
    assert masked(MASKS) == (True, True)
    assert masked(MASKS | {"num_time_mask": 0}) == (True, False)
    assert masked(MASKS | {"num_freq_mask": 0}) == (False, True)
    assert masked({"apply_time_warp": False, "num_freq_mask": 0, "num_time_mask": 0}) == (False, False)
    assert make_augment(dict.fromkeys(["apply_time_warp", "apply_freq_mask", "apply_time_mask"], False)) is None


@pytest.mark.parametrize(
    "conf",
    [
        MASKS | {"freq_mask_width_range": 20},
        MASKS | {"time_mask_width_range": None, "time_mask_width_ratio_range": [0, 0.05]},
        MASKS | {"time_mask_width_range": None, "time_mask_width_ratio_range": 0.05},
        MASKS | {"apply_time_warp": True, "time_warp_window": 1, "time_warp_mode": "bilinear"},
    ],
    ids=str,
)
def test_spellings_of_a_width(conf):
    augment = make_augment(conf)
    assert augment(torch.ones(2, 50, 80), torch.tensor([50, 40])).shape == (2, 50, 80)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("time_mask_width_range", [0, 0.05], "a range must rise between two whole numbers from 0 on, such as"),
        ("freq_mask_width_range", 0.5, "a range must rise between two whole numbers"),
        ("freq_mask_width_range", [0.7, 0.5], "a range must rise between two whole numbers"),
        ("freq_mask_width_range", [0, 5, 10], "a range must rise between two whole numbers"),
        ("freq_mask_width_range", None, "a range must rise between two whole numbers"),
        ("freq_mask_width_range", "20", "a range must rise between two whole numbers"),
        ("time_mask_width_range", [-3, 5], "a range must rise between two whole numbers"),
        ("time_mask_width_range", [5, 5], "a range must rise between two whole numbers"),
        ("time_mask_width_ratio_range", [0.1, 0.05], "a range must rise between two numbers from 0 on, such as"),
        ("time_mask_width_ratio_range", 1, "a range must rise between two numbers"),
        ("time_warp_window", 0, "it must be a whole number of at least 1"),
        ("time_warp_mode", "nearest", "it must be bicubic or bilinear"),
    ],
)
def test_a_value_that_would_fail_in_the_first_update_is_one_sentence(key, value, says):
    with pytest.raises(UserError, match=f"^specaug_conf: {key} is .*: {says}") as error:
        make_augment({key: value})
    assert "\n" not in str(error.value)

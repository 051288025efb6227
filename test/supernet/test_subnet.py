import pytest

from dualmode.errors import UserError
from dualmode.supernet.subnet import Context, Subnet


def test_ms_become_frames_of_40_ms():
    assert Context.from_ms(640, 1280) == Context(chunk=16, left=32)
    assert Context(16, 32).chunk_ms == 640
    assert Context(16, 32).left_ms == 1280
    assert Context.from_ms(None) == Context()
    assert Context().chunk_ms is None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Context(chunk=0), "at least 1"),
        (lambda: Context(chunk=4, left=-1), "0 or more"),
        (lambda: Context(left=4), "needs a chunk"),
        (lambda: Context.from_ms(650), "multiple of the encoder frame of 40 ms"),
        (lambda: Context.from_ms(float("nan")), "multiple"),
        (lambda: Subnet(1.2), "below 1"),
        (lambda: Subnet(1.0), "below 1"),
        (lambda: Subnet(-0.1), "at least 0"),
    ],
)
def test_impossible_combinations_are_one_sentence(make, words):
    with pytest.raises(UserError, match=words):
        make()

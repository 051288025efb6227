import json

import kaldiio
import numpy as np
import pytest

from dualmode.bin import compute_cmvn
from dualmode.data.cmvn import STD_FLOOR, statistics
from dualmode.errors import UserError


def test_mean_and_deviation_by_hand():
    result = statistics(
        [np.array([[1.0, 5.0], [3.0, 5.0]], dtype=np.float32), np.array([[5.0, 5.0]], dtype=np.float32)]
    )
    assert result.frames == 3
    assert result.mean.tolist() == [3.0, 5.0]
    assert result.std[0] == pytest.approx((8 / 3) ** 0.5)
    assert result.std[1] == STD_FLOOR


def test_many_frames_far_from_zero_lose_no_digits():
    rng = np.random.default_rng(0)
    matrices = [(-12 + rng.standard_normal((1000, 3))).astype(np.float32) for _ in range(50)]
    together = np.concatenate(matrices).astype(np.float64)
    result = statistics(matrices)
    assert np.allclose(result.mean, together.mean(axis=0), rtol=1e-12)
    assert np.allclose(result.std, together.std(axis=0), rtol=1e-9)


def test_nothing_and_nan_are_refused():
    with pytest.raises(UserError, match="no feature frames"):
        statistics([])
    with pytest.raises(UserError, match="NaN"):
        statistics([np.array([[np.nan]])])


def test_command(tmp_path):
    scp, out = tmp_path / "feats.scp", tmp_path / "cmvn.json"
    kaldiio.save_ark(str(tmp_path / "feats.ark"), {"u": np.arange(160, dtype=np.float32).reshape(2, 80)}, scp=str(scp))
    compute_cmvn.main(["--feats", str(scp), "--out", str(out)])
    written = json.loads(out.read_text())
    assert written["frames"] == 2
    assert written["mean"] == [column + 40.0 for column in range(80)]
    assert written["std"] == [40.0] * 80
    (tmp_path / "feats.ark").unlink()
    with pytest.raises(UserError, match="cannot be read .*make_fbank"):
        compute_cmvn.main(["--feats", str(scp), "--out", str(out)])
    scp.write_text("")
    with pytest.raises(UserError, match="is empty"):
        compute_cmvn.main(["--feats", str(scp), "--out", str(out)])


def test_a_place_that_cannot_be_written_to_is_met_before_features_are_read(tmp_path):
    scp = tmp_path / "feats.scp"
    scp.write_text("u nothing.ark:2\n")  # which would be the error of reading
    with pytest.raises(OSError, match="feats.scp"):
        compute_cmvn.main(["--feats", str(scp), "--out", str(scp / "cmvn.json")])

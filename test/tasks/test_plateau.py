"""The warning that a recogniser recognises nothing."""

import pytest
from espnet2.train.reporter import SubReporter

from dualmode.tasks.history import record
from dualmode.tasks.plateau import plateau_warning


@pytest.mark.parametrize(
    ("values", "epoch", "branches"),
    [
        ({"ter_dense": 99.0, "ter_sparse": 100.0}, 2, None),  # too early
        ({"ter_dense": 99.0, "ter_sparse": 100.0}, 3, "99.0 % (dense branch), 100.0 % (sparse branch); likely causes"),
        ({"ter_dense": 99.0, "ter_sparse": 20.0}, 10, "99.0 % (dense branch); likely causes"),
        ({"ter_dense": 84.0, "ter_sparse": 60.0}, 4, None),
        ({"ter_dense": 71.0, "ter_sparse": 60.0}, 5, "71.0 % (dense branch); likely causes"),
        ({"ter_dense": 69.0, "ter_sparse": 60.0}, 10, None),
        ({"ter_sparse": 90.0}, 10, "90.0 % (sparse branch); likely causes"),  # one branch is trained
        ({"loss": 3.0}, 10, None),  # a pre-training
    ],
)
def test_who_is_warned_of_what(values, epoch, branches):
    warning = plateau_warning(values, epoch, 10)
    assert warning is None if branches is None else branches in warning


def test_it_follows_the_line_of_the_epoch(tmp_path, capsys):
    reporter = SubReporter("valid", 5, 0)
    reporter.register({"ter_dense": 97.0}, 100.0)
    reporter.next()
    record(tmp_path, "valid", reporter, 10)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("epoch 5/10 valid: ") and lines[1].startswith("warning: after 5 of 10 epochs")

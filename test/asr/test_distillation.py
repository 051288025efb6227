import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dualmode.asr.distillation import ctc_distillation, lattice_distillation
from dualmode.asr.transducer.lattice import Lattice, collapse_vocabulary


def kl(teacher, student):
    return sum(p * math.log(p / q) for p, q in zip(teacher, student, strict=True) if p > 0)


def posteriors(generator, *shape):
    return torch.randn(*shape, generator=generator).softmax(dim=-1)


def test_ctc_by_hand_and_without_gradient_to_the_teacher():
    teacher = torch.tensor([[[0.5, 0.5], [0.9, 0.1]], [[0.2, 0.8], [0.5, 0.5]]]).log().requires_grad_()
    student = torch.tensor([[[0.25, 0.75], [0.1, 0.9]], [[0.2, 0.8], [0.5, 0.5]]]).log().requires_grad_()
    loss = ctc_distillation(student, teacher, torch.tensor([1, 2]))
    assert loss.item() == pytest.approx((0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)) / 2, rel=1e-5)
    loss.backward()
    assert teacher.grad is None
    assert student.grad[0, 0].abs().sum() > 0 and student.grad[0, 1].abs().sum() == 0


@given(seed=st.integers(0, 2**16), shift=st.integers(0, 6))
def test_shifted_ctc_by_loops(seed, shift):
    generator, lengths = torch.Generator().manual_seed(seed), [5, 3]
    teacher, student = posteriors(generator, 2, 5, 3), posteriors(generator, 2, 5, 3)
    total = 0.0
    for p, q, frames in zip(teacher.tolist(), student.tolist(), lengths, strict=True):
        total += min(sum(kl(p[max(frame - late, 0)], q[frame]) for frame in range(frames)) for late in range(shift + 1))
    loss = ctc_distillation(student.log(), teacher.log(), torch.tensor(lengths), shift)
    assert loss.item() == pytest.approx(total / 2, rel=1e-4, abs=1e-6)


def test_a_student_that_is_late_by_up_to_the_shift_loses_nothing():
    peak, blank = [0.1, 0.9], [0.9, 0.1]
    teacher = torch.tensor([[blank, peak, blank, blank, blank]]).log()
    late = torch.tensor([[blank, blank, blank, peak, blank]]).log()
    frames = torch.tensor([5])
    assert ctc_distillation(late, teacher, frames, 1).item() > 1.0
    assert ctc_distillation(late, teacher, frames, 2).item() == pytest.approx(0.0, abs=1e-6)
    silent = torch.tensor([[blank] * 5]).log()
    assert ctc_distillation(silent, teacher, frames, 2).item() > 1.0


@given(seed=st.integers(0, 2**16), shift=st.integers(0, 2))
def test_collapsed_lattices_by_loops(seed, shift):
    generator, shape, vocabulary = torch.Generator().manual_seed(seed), [(4, 2), (2, 0)], 5
    following = torch.tensor([[3, 1, 0], [0, 0, 0]])
    teacher, student = (posteriors(generator, 2, 4, 3, vocabulary) for _ in range(2))
    total = 0.0
    for row, (frames, tokens) in enumerate(shape):

        def events(table, t, u, row=row):
            at, target = table[row, t, u].tolist(), int(following[row, u])
            label = at[target] if target else 0.0
            return [label, at[0], 1.0 - label - at[0]]

        total += min(
            sum(
                kl(events(teacher, max(t - late, 0), u), events(student, t, u))
                for t in range(frames)
                for u in range(tokens + 1)
            )
            / (tokens + 1)
            for late in range(shift + 1)
        )
    lattices = [
        Lattice(collapse_vocabulary(table.log(), following[:, None].expand(2, 4, 3))) for table in (student, teacher)
    ]
    frames, tokens = (torch.tensor(numbers) for numbers in zip(*shape, strict=True))
    loss = lattice_distillation(*lattices, frames, tokens, shift)
    assert loss.item() == pytest.approx(total / 2, rel=1e-3, abs=1e-5)


def test_lattices_send_no_gradient_to_the_teacher_nor_into_padding():
    torch.manual_seed(0)
    following = torch.tensor([[1, 2, 0], [1, 0, 0]])[:, None].expand(2, 4, 3)
    teacher, student = (torch.randn(2, 4, 3, 5, requires_grad=True) for _ in range(2))
    lattices = [Lattice(collapse_vocabulary(logits, following)) for logits in (student, teacher)]
    lattice_distillation(*lattices, torch.tensor([4, 3]), torch.tensor([2, 1])).backward()
    assert teacher.grad is None
    assert student.grad.isfinite().all()
    real = torch.ones(2, 4, 3, dtype=torch.bool)
    real[1, 3:], real[1, :, 2:] = False, False
    assert student.grad[real].abs().sum(dim=-1).min() > 0 and not student.grad[~real].any()

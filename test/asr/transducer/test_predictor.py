import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dualmode.asr.transducer.predictor import LstmPredictor, StatelessPredictor

PREDICTORS = [
    lambda: StatelessPredictor(7, 5, context=1),
    lambda: StatelessPredictor(7, 5, context=2),
    lambda: StatelessPredictor(7, 5, context=3),
    lambda: LstmPredictor(7, 5),
    lambda: LstmPredictor(7, 5, layers=2),
]


@pytest.mark.parametrize("make", PREDICTORS)
@given(seed=st.integers(0, 2**16), length=st.integers(0, 5))
def test_steps_equal_the_forward_pass(make, seed, length):
    torch.manual_seed(seed)
    predictor, targets = make(), torch.randint(1, 7, (3, length))
    output, state = predictor.start(3)
    outputs = [output]
    for tokens in targets.unbind(dim=1):
        output, state = predictor.step(tokens, state)
        outputs.append(output)
    torch.testing.assert_close(torch.stack(outputs, dim=1), predictor(targets))


@pytest.mark.parametrize("make", PREDICTORS)
def test_selected_rows_go_on_as_they_would_have(make):
    torch.manual_seed(0)
    predictor = make()
    _, state = predictor.start(3)
    _, state = predictor.step(torch.tensor([1, 2, 3]), state)
    rows, tokens = torch.tensor([2, 0, 2]), torch.tensor([4, 5, 6])
    expected = predictor(torch.tensor([[3, 4], [1, 5], [3, 6]]))[:, -1]
    torch.testing.assert_close(predictor.step(tokens, state.select(rows))[0], expected)


@pytest.mark.parametrize("make", PREDICTORS)
def test_padding_changes_nothing_before_it(make):
    torch.manual_seed(0)
    predictor = make()
    padded = predictor(torch.tensor([[1, 2, -1, -1]]))
    torch.testing.assert_close(padded[:, :3], predictor(torch.tensor([[1, 2]])))


def test_a_stateless_predictor_forgets():
    predictor = StatelessPredictor(7, 5, context=2)
    torch.testing.assert_close(predictor(torch.tensor([[1, 2, 3]]))[:, -1], predictor(torch.tensor([[6, 2, 3]]))[:, -1])

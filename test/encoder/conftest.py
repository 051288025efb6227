import numpy as np
import pytest
import torch

from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.conformer import DualModeEncoder
from dualmode.supernet.pruning import estimate_masks


@pytest.fixture(scope="package")
def encoder() -> DualModeEncoder:
    """A tiny supernet with masks of 70 %, in evaluation mode."""
    torch.manual_seed(0)
    encoder = DualModeEncoder(
        EncoderConfig(
            output_size=16, num_blocks=2, attention_heads=2, linear_units=32, kernel_size=5, subsampling_channels=4
        )
    )
    estimate_masks(encoder, encoder.config.pruning)
    return encoder.eval()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)

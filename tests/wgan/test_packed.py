"""A training in a pack is the training alone: its weights, optimizers, streams and rows."""

import pytest

from tests.wgan.packs import TOLERANCE, alone, gap, gap_of_states, packed, seeds_of, toy
from tests.wgan.small import registered, without_times
from wgan.lipschitz import LipschitzMethod
from wgan.losses import Loss

PACKABLE = [made.name for made in registered(LipschitzMethod) if made.packable]


def check_equals_alone(**settings):
    """Three trainings in a pack of four against each of them alone."""
    configs = seeds_of(toy(**settings), 3)
    states, rows = packed(configs, 4, log_every=20, evaluate_every=25)
    for config, state, row in zip(configs, states, rows, strict=True):
        expected_state, expected_rows = alone(config, log_every=20, evaluate_every=25)
        assert gap_of_states(expected_state, state) < TOLERANCE
        assert gap(without_times(expected_rows), without_times(row)) < TOLERANCE


@pytest.mark.parametrize("loss", [made.name for made in registered(Loss)])
@pytest.mark.parametrize("method", PACKABLE)
def test_each_packable_method_with_each_loss_trains_as_alone(method, loss):
    check_equals_alone(lipschitz=method, loss=loss)

"""Our side of the comparisons: `wgan.train` in pieces of a given length, and the data of all."""

from __future__ import annotations

from typing import Any

import torch

from wgan.config import TrainConfig
from wgan.data import Data, Images
from wgan.iteration import Eager
from wgan.recipes import recipe_settings
from wgan.train import new_state, train

NOISE_SIZE = 64
BATCH_SIZE = 64


def configured(recipe: str = "wgan_gp", **settings: Any) -> TrainConfig:
    """A recipe that never ends and never diverges of itself; `settings` override."""
    return TrainConfig.from_plain(
        {
            **recipe_settings(recipe),
            "steps": 10**6,
            "score_limit": 1e30,
            "batch_size": BATCH_SIZE,
            "noise_size": NOISE_SIZE,
            **settings,
        }
    )


def random_images(count: int = 4096, size: int = 32, channels: int = 3) -> Images:
    """Pixels that are noise: what they show costs no time. Shape (count, channels, size, size)."""
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (count, channels, size, size), generator=rng, dtype=torch.uint8)
    return Images("noise", pixels, pixels[:64])


class Ours:
    """`train` as the harness runs it, with a row at every 50 steps, in pieces.

    Args:
        eager: whether a GPU's iterations stay uncaptured.
    """

    def __init__(
        self, config: TrainConfig, data: Data, device: str = "cpu", *, eager: bool = False
    ) -> None:
        self.state = new_state(config, data, device)
        self._until = 0
        self._pauses = train(
            config,
            data,
            self.state,
            lambda: self.state.step >= self._until,
            log_every=50,
            evaluate_every=10**9,
            iterate=Eager(config, data, self.state) if eager else None,
        )

    def run(self, steps: int) -> None:
        """So many updates of the generator."""
        self._until = self.state.step + steps
        while self.state.step < self._until:
            next(self._pauses)

"""wgan: GAN training, to read how each way to hold the Lipschitz constraint is done right.

The loop is `wgan.train.train`; a configuration says everything that it needs.
"""

from wgan.config import TrainConfig
from wgan.lipschitz import LipschitzMethod
from wgan.recipes import RECIPES, recipe_settings

__all__ = ["RECIPES", "LipschitzMethod", "TrainConfig", "recipe_settings"]

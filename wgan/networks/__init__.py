"""The networks: a generator and a critic in each file."""

from wgan.discovery import import_all
from wgan.networks.base import Network, Shape
from wgan.networks.dcgan import DCGAN
from wgan.networks.mlp import MLP

import_all(__name__, __path__)

__all__ = ["DCGAN", "MLP", "Network", "Shape"]

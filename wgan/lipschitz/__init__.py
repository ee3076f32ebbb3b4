"""The ways to hold the critic's Lipschitz constraint, one file each."""

from wgan.discovery import import_all
from wgan.lipschitz.base import LipschitzMethod
from wgan.lipschitz.gradient_penalty import GradientPenalty
from wgan.lipschitz.lipschitz_network import LipschitzNetwork
from wgan.lipschitz.none import Unconstrained
from wgan.lipschitz.orthonormal import Orthonormal
from wgan.lipschitz.spectral_norm import SpectralNorm
from wgan.lipschitz.weight_clipping import WeightClipping
from wgan.lipschitz.weight_normalization import WeightNormalization

import_all(__name__, __path__)

__all__ = [
    "GradientPenalty",
    "LipschitzMethod",
    "LipschitzNetwork",
    "Orthonormal",
    "SpectralNorm",
    "Unconstrained",
    "WeightClipping",
    "WeightNormalization",
]

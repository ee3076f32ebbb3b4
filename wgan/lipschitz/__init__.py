"""The ways to hold the critic's Lipschitz constraint, one file each."""

from wgan.discovery import import_all
from wgan.lipschitz.base import LipschitzMethod
from wgan.lipschitz.gradient_penalty import GradientPenalty
from wgan.lipschitz.none import Unconstrained
from wgan.lipschitz.spectral_norm import SpectralNorm
from wgan.lipschitz.weight_clipping import WeightClipping

import_all(__name__, __path__)

__all__ = ["GradientPenalty", "LipschitzMethod", "SpectralNorm", "Unconstrained", "WeightClipping"]

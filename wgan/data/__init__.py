"""Data: image sets as uint8 and densities with known answers."""

from wgan.data.base import Data, DataError, Dataset, Density, Images, as_float, as_pixels, pick
from wgan.data.densities import Grid25, Ring8, SwissRoll
from wgan.data.digits import Digits
from wgan.data.gaussians import ScaledGaussians, ShiftedGaussians
from wgan.data.point_masses import NoiselessRing, PointMass
from wgan.discovery import import_all

import_all(__name__, __path__)

__all__ = [
    "Data",
    "DataError",
    "Dataset",
    "Density",
    "Digits",
    "Grid25",
    "Images",
    "NoiselessRing",
    "PointMass",
    "Ring8",
    "ScaledGaussians",
    "ShiftedGaussians",
    "SwissRoll",
    "as_float",
    "as_pixels",
    "pick",
]

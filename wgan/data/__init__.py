"""Data: image sets as uint8 and densities with known answers."""

from wgan.data.base import Data, Dataset, Density, Images, as_float, as_pixels
from wgan.data.densities import Grid25, Ring8, SwissRoll
from wgan.data.digits import Digits
from wgan.discovery import import_all

import_all(__name__, __path__)

__all__ = [
    "Data",
    "Dataset",
    "Density",
    "Digits",
    "Grid25",
    "Images",
    "Ring8",
    "SwissRoll",
    "as_float",
    "as_pixels",
]

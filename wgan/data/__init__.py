"""Data: image sets as uint8 and densities with known answers."""

from wgan.data.base import (
    Data,
    DataError,
    Dataset,
    Density,
    Images,
    as_float,
    as_pixels,
    pick,
)
from wgan.data.celeba import CelebA
from wgan.data.densities import Grid25, Ring8, SwissRoll
from wgan.data.digits import Digits
from wgan.data.folder import Folder
from wgan.data.gaussians import ScaledGaussians, ShiftedGaussians
from wgan.data.mnist import KMNIST, MNIST, FashionMNIST, StackedMNIST
from wgan.data.parts import PartialSet
from wgan.data.photographs import CIFAR10, CIFAR100, STL10, SVHN
from wgan.data.point_masses import NoiselessRing, PointMass
from wgan.data.stacked import StackedDigits
from wgan.discovery import import_all

import_all(__name__, __path__)

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "CelebA",
    "Data",
    "DataError",
    "Dataset",
    "Density",
    "Digits",
    "FashionMNIST",
    "Folder",
    "Grid25",
    "Images",
    "KMNIST",
    "MNIST",
    "NoiselessRing",
    "PartialSet",
    "PointMass",
    "Ring8",
    "STL10",
    "SVHN",
    "ScaledGaussians",
    "ShiftedGaussians",
    "StackedDigits",
    "StackedMNIST",
    "SwissRoll",
    "as_float",
    "as_pixels",
    "pick",
]

"""The networks: a generator and a critic in each file."""

from wgan.discovery import import_all
from wgan.networks.base import Network, Pooling, Residual, Shape
from wgan.networks.dcgan import DCGAN
from wgan.networks.mlp import MLP
from wgan.networks.resnet import ResNet
from wgan.networks.sn_cnn import StandardCNN

import_all(__name__, __path__)

__all__ = ["DCGAN", "MLP", "Network", "Pooling", "ResNet", "Residual", "Shape", "StandardCNN"]

"""Trainings that differ in their seed alone, trained together as one stacked model.

A small network leaves a processor idle between its operations. Stacked weights, shape (k, ...),
make one operation of k: the same numbers, in less time. It is not for whoever writes a method or a
loss: what can be stacked says so, and everything else trains alone.
"""

from wgan.packed.rules import pays, time_of_stack, unpackable
from wgan.packed.train import PackedPause, train_packed

__all__ = [
    "PackedPause",
    "pays",
    "time_of_stack",
    "train_packed",
    "unpackable",
]

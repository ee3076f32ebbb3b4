"""Trainings that never were, many at once: a loss and a quality with a trend and a known link."""

import math

import numpy as np

SEEDS, NOISE = 5, 0.15
TRENDS = ("linear", "decay", "u_shaped", "decay_against_u")


def trends(name, count):
    """A trend of the loss and one of the quality over training, each from 0 to 1."""
    time = np.linspace(0, 1, count)
    decay, u_shaped = np.exp(-4 * time), 4 * (time - 0.5) ** 2
    return {
        "linear": (1 - time, 1 - time),
        "decay": (decay, decay),
        "u_shaped": (u_shaped, u_shaped),
        "decay_against_u": (decay, u_shaped),
    }[name]


def simulated(seed, sweeps, count, trend, *, link=0.0, spread=0.0, seeds=SEEDS, noise=NOISE):
    """Losses and qualities, shape (sweeps, seeds, count), and their steps.

    Beyond the trend they share noise: each training's true correlation there is
    tanh(atanh(link) + spread * a standard normal of its own).
    """
    draw = np.random.default_rng(seed)
    first, second = trends(trend, count)
    own = np.tanh(math.atanh(link) + spread * draw.normal(size=(sweeps, seeds, 1)))
    loss, other = draw.normal(size=(2, sweeps, seeds, count))
    quality = own * loss + np.sqrt(1 - own**2) * other
    return first + noise * loss, second + noise * quality, np.arange(count) * 100.0

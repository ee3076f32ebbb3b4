"""Logs of trainings that never were, as other people's programs write them."""

from __future__ import annotations

import numpy as np
import pandas as pd


def own_log(seeds=5, evaluations=25, *, link=0.8, every=100):
    """Columns seed, step, d_loss and fid: both decay, and their noise correlates by `link`."""
    parts = []
    for seed in range(seeds):
        draw = np.random.default_rng(seed)
        step = np.arange(1, evaluations + 1) * every
        decay = np.exp(-step / (0.3 * every * evaluations))
        shared, own = draw.normal(size=(2, evaluations))
        parts.append(
            pd.DataFrame(
                {
                    "seed": seed,
                    "step": step,
                    "d_loss": decay + 0.1 * (link * shared + np.sqrt(1 - link**2) * own),
                    "fid": (20 + 200 * decay) * np.exp(0.1 * shared),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)

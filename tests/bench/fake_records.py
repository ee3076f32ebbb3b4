"""Records of trainings that never were: curves with a known link, sample grids, protocols."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from bench.records import CURVE_COLUMNS, RUN_COLUMNS, Records

# label: loss, method, FID at the end, size of the estimate, link beyond time of estimate and FID
RECIPES: dict[str, tuple[str, str, float, float, float]] = {
    "gan": ("nonsaturating", "none", 61.0, 0.6, -0.3),
    "wgan": ("wasserstein", "weight_clipping", 32.0, 0.02, 0.2),
    "wgan_gp": ("wasserstein", "gradient_penalty", 24.0, 6.0, 0.8),
    "sngan": ("nonsaturating", "spectral_norm", 101.0, 0.25, 0.5),
}
PROTOCOL: dict[str, Any] = {
    "id": "abcd1234",
    "dataset": {"digits": {}},
    "split": "train",
    "n_real": 1437,
    "n_fake": 2000,
    "n_floor": 360,
    "extractor": "digits_cnn",
    "weights_hash": "5f1d9f7c21e0",
    "image_range": "uint8, 0 to 255",
    "kid_subset_size": 100,
    "torch_fidelity": "0.4.0",
    "ema": False,
    "floor": {"fid": 7.0, "kid": 0.002, "inception_score": 9.1, "precision": 0.93, "recall": 0.94},
    "floor_extrapolated": {"fid": 3.1},
    "floor_extrapolated_error": {"fid": 0.8},
    "baselines": {
        "class_gaussian": {
            "fid": 80.0,
            "kid": 0.21,
            "inception_score": 6.2,
            "precision": 0.6,
            "recall": 0.7,
        }
    },
}


def fake_curve(
    seed: int,
    *,
    final: float = 24.0,
    scale: float = 6.0,
    link: float = 0.8,
    evaluations: int = 26,
    every: int = 80,
) -> pd.DataFrame:
    """One run's evaluations: FID and estimate decay alike, and their noise correlates by `link`."""
    draw = np.random.default_rng(seed)
    step = np.arange(evaluations) * every
    decay = np.exp(-step / (0.18 * every * evaluations))
    shared, own = draw.normal(size=(2, evaluations))
    fid = (final + (2100 - final) * decay**2) * np.exp(0.12 * shared)
    held_out = (
        scale * (0.25 + 0.75 * decay) * np.exp(0.06 * (link * shared + np.sqrt(1 - link**2) * own))
    )
    return pd.DataFrame(
        {
            "step": step,
            "training_seconds": step * 0.05,
            "images_seen": step * 64 * 5,
            "estimate": held_out * 1.06,
            "estimate_held_out": held_out,
            "estimate_held_out_error": held_out * 0.02,
            "score_mean": -held_out / 3,
            "score_std": held_out,
            "fid": fid,
            "kid": fid / 400,
        }
    )


def fake_records(
    labels: Sequence[str] = tuple(RECIPES),
    seeds: Sequence[int] = (0, 1, 2),
    *,
    evaluations: int = 26,
    names: Mapping[str, str] | None = None,
    pictures: bool = True,
) -> Records:
    """A finished sweep; `names` gives recipes other labels."""
    runs, curves, samples = [], [], {}
    for place, recipe in enumerate(labels):
        loss, method, final, scale, link = RECIPES[recipe]
        for seed in seeds:
            run_id = f"{place:02x}{seed:02x}c0ffee00"
            number = 1000 * place + seed
            curve = fake_curve(number, final=final, scale=scale, link=link, evaluations=evaluations)
            curves.append(curve.assign(run_id=run_id, protocol_id=PROTOCOL["id"]))
            runs.append(
                {
                    "run_id": run_id,
                    "sweep": "quickstart",
                    "label": (names or {}).get(recipe, recipe),
                    "recipe": recipe,
                    "lipschitz": method,
                    "loss": loss,
                    "optimizer": "adam",
                    "dataset": "digits",
                    "network": "dcgan",
                    "seed": seed,
                    "state": "done",
                    "dead_critic": False,
                    "steps": int(curve["step"].iloc[-1]),
                    "training_seconds": 40.0 + 30 * place + seed,
                    "images_seen": int(curve["images_seen"].iloc[-1]),
                    "fid_last": curve["fid"].iloc[-1],
                    "fid_best": curve["fid"].min(),
                    "reason": "",
                    "protocol_id": PROTOCOL["id"],
                }
            )
            if pictures:
                samples[run_id] = fake_grid(number)
    environment = {
        "host": "box",
        "python": "3.11.9",
        "versions": {"torch": "2.13.0", "numpy": "2.4.6"},
        "commit": "0123456789abcdef",
        "started": 1.7e9,
        "numerics": {"device": "cpu", "threads": 1, "torch": "2.13.0", "code": "00ff00ff00ff"},
        "earlier": [],
    }
    frame = pd.DataFrame(runs)
    ids = list(frame["run_id"])
    return Records(
        sweep="quickstart",
        question="Does the critic's estimate track FID, and does that depend on the constraint?",
        runs=frame[[*RUN_COLUMNS, "reason", "protocol_id"]],
        curves=_with_columns(pd.concat(curves, ignore_index=True)),
        protocols=[PROTOCOL],
        specs={},
        environments={
            run_id: environment | {"started": 1.7e9 + place} for place, run_id in enumerate(ids)
        },
        samples=samples,
        folders={run_id: f"quickstart/run--{run_id}" for run_id in ids},
        notes=[],
    )


def fake_grid(seed: int) -> bytes:
    """A PNG of 8 x 8 grey squares of noise, like a grid of tiny images."""
    draw = np.random.default_rng(seed)
    sheet = np.full((8 * 34 + 2, 8 * 34 + 2), 255, dtype=np.uint8)
    for place in range(64):
        top, left = 2 + place // 8 * 34, 2 + place % 8 * 34
        blob = draw.integers(0, 255, (8, 8)).astype(np.uint8)
        sheet[top : top + 32, left : left + 32] = np.kron(blob, np.ones((4, 4), dtype=np.uint8))
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, format="PNG")
    return buffer.getvalue()


def _with_columns(curves: pd.DataFrame) -> pd.DataFrame:
    missing = [name for name in CURVE_COLUMNS if name not in curves.columns]
    return curves.assign(**dict.fromkeys(missing, np.nan))

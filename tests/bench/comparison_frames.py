"""Small tables of runs for the comparison of methods: outcomes, and runs with curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

DIVERGED = "diverged"


def outcome_frame(
    finals: Mapping[str, Sequence[float | str | None]], methods: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Outcomes by label and seed: a number, "diverged", or None for a run that has not ended."""
    rows = []
    for label, values in finals.items():
        for seed, value in enumerate(values):
            known = not isinstance(value, str) and value is not None
            status = "final" if known else DIVERGED if value == DIVERGED else "unfinished"
            number = float(value) if known and value is not None else np.nan
            rows.append(
                {
                    "label": label,
                    "method": (methods or {}).get(label, label),
                    "run_id": f"{label}-{seed}",
                    "seed": seed,
                    "status": status,
                    "final": number,
                    "best": number,
                    "chosen": number,
                    "chosen_step": 0.0,
                    "fresh_mean": np.nan,
                    "fresh_sd": np.nan,
                    "fresh_sets": np.nan,
                }
            )
    return pd.DataFrame(rows)


def one_run(run_id: str, label: str, **more: object) -> dict[str, object]:
    """A row of the runs table."""
    return {
        "run_id": run_id,
        "label": label,
        "recipe": None,
        "lipschitz": "none",
        "loss": "wasserstein",
        "seed": 0,
        "state": "done",
        "steps": 300,
        "dead_critic": False,
    } | more


def one_curve(
    run_id: str, fid: Sequence[float], estimate: Sequence[float], *, seconds: float = 1.0
) -> pd.DataFrame:
    """Evaluations every 100 steps, each stretch of 100 taking `seconds`."""
    step = 100 * np.arange(len(fid))
    return pd.DataFrame(
        {
            "run_id": run_id,
            "step": step,
            "training_seconds": seconds * step / 100,
            "fid": fid,
            "estimate_held_out": estimate,
        }
    )

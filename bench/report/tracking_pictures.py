"""The pictures of the part beside the primary analysis: lags, and final models."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.figures import final_models_figure, lags_figure
from bench.report import pictures
from bench.report.pictures import Colours, Picture
from bench.report.sentences import counted
from bench.stats.final_models import FinalModels
from bench.tables import MINUS, correlation

FIXED = "A description: fixed beforehand is only the primary analysis, and this decides nothing."


def lags_picture(lags: pd.DataFrame, quality_name: str, colours: Colours) -> Picture:
    """The correlation of the estimate with quality some evaluations sooner or later."""
    wide, narrow = pictures.both_widths(lambda width: lags_figure(lags, colours, width), colours)
    said = "; ".join(
        f"{label}: "
        + ", ".join(
            f"{lag:+d} {correlation(raw)}".replace("-", MINUS)
            for lag, raw in zip(rows["lag"], rows["raw"], strict=True)
        )
        for label, rows in lags.groupby("label", sort=False)
    )
    return Picture(
        "lags.svg",
        wide,
        narrow,
        f"The held-out estimate against {quality_name} sooner or later.",
        f"Rank correlation of the estimate with {quality_name} so many evaluations later (below 0: "
        "sooner), raw and beyond time; bars are 95 % intervals over live seeds. Lag 0 is the "
        "primary analysis; to take the best of these seven would find links that are none in 8 % "
        f"instead of 2 % of sweeps. Shaded: within 0.2 of zero. {FIXED}",
        f"Line charts of rank correlation by lag. Raw: {said}.",
    )


def finals_pictures(
    shown: Sequence[tuple[FinalModels, str]], quality_name: str, colours: Colours
) -> tuple[Picture, ...]:
    """Final quality against the final estimate, a panel per architecture; none where none is."""
    if not shown:
        return ()
    models = pd.concat([group.frame.assign(group=name) for group, name in shown])
    notes = {
        name: f"raw {correlation(group.raw.center)}, over K "
        f"{correlation(group.per_lipschitz.center)}"
        for group, name in shown
    }
    wide, narrow = pictures.both_widths(
        lambda width: final_models_figure(models, quality_name, colours, notes, width), colours
    )
    return (
        Picture(
            "final-models.svg",
            wide,
            narrow,
            f"Final {quality_name} against the final estimate, model by model.",
            f"A point is one finished run, coloured by its recipe ({counted(len(models), 'model')}"
            "); a panel holds critics of one architecture. Above it Spearman's rank correlation "
            f"across its models. {FIXED}",
            f"Scatter plots of final {quality_name} against the final estimate. "
            + "; ".join(f"{name}: {note}" for name, note in notes.items())
            + ".",
        ),
    )

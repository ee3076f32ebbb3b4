"""The part of the report that compares recipes by the quality of their final models.

What cannot be shown is said in words, each in its piece's own place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.report import comparison_words as words
from bench.report.comparison_pieces import (
    Material,
    Piece,
    baseline_piece,
    budgets_piece,
    choices_piece,
    locations_piece,
    noise_piece,
    pairs_piece,
    profiles_piece,
    robustness_piece,
)
from bench.report.pictures import Colours
from bench.stats.comparison import default_baseline
from bench.stats.location import locate
from bench.stats.outcomes import by_median, outcomes

MOST_SHOWN = 16  # recipes in a figure or an open table; all of them are in the fold-outs


@dataclass(frozen=True)
class ComparisonSection:
    """What the runs of one protocol say about their recipes against each other.

    `trouble` says in words why something that a reader expects is not there.
    """

    lead: str
    trouble: tuple[str, ...]
    pieces: tuple[Piece, ...]


def comparison_section(
    runs: pd.DataFrame,
    curves: pd.DataFrame,
    column: str | None,
    quality: str,
    *,
    floor: float | None,
    baselines: Mapping[str, float],
    environments: Mapping[str, Mapping[str, Any]],
    colours: Colours,
) -> ComparisonSection:
    """The comparison of the runs that one protocol scored.

    Args:
        runs, curves: the records' tables.
        column: of the quality measure, low is good; None where there is none.
        quality: what it is called in running text.
        floor: quality of real held-out data.
        baselines: the protocol's other levels, by name.
        environments: by run id, for whether seconds are comparable.
        colours: (light, dark) per label.
    """
    if column is None:
        return ComparisonSection("", ("No run has a score, so there is nothing to compare.",), ())
    frame = outcomes(runs, curves, column, floor=floor)
    baseline = default_baseline(frame)
    missing = tuple(words.missing_models(frame))
    if baseline is None:
        return ComparisonSection("", (words.nothing_final(frame), *missing), ())
    datasets = words.several_datasets(runs, frame)
    if datasets:
        return ComparisonSection("", (datasets, *missing), ())
    labels, ranked = list(dict.fromkeys(frame["label"])), by_median(frame)
    best = {baseline, *ranked[:MOST_SHOWN]}
    chosen = tuple(label for label in labels if label in best)
    material = Material(
        frame,
        curves,
        column,
        quality,
        baseline,
        chosen,
        floor,
        baselines,
        environments,
        colours,
    )
    trouble = list(missing)
    if len(chosen) < len(labels):
        trouble.append(words.selection_words(MOST_SHOWN, len(labels), quality, baseline))
    if len(labels) == 1:
        trouble.append("There is one recipe only, so that there is nothing to set it against.")
    pieces = [locations_piece(material)]
    if len(labels) > 1:
        pieces += [baseline_piece(material), pairs_piece(material)]
    pieces += [
        profiles_piece(material),
        robustness_piece(material),
        budgets_piece(material),
        noise_piece(material),
        choices_piece(material),
    ]
    return ComparisonSection(words.lead(locate(frame), quality), tuple(trouble), tuple(pieces))

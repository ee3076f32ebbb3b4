"""The part of the report on what stands beside the primary analysis of loss against quality.

Fixed beforehand is only the primary analysis; everything here is a description and decides nothing.
What cannot be shown is said in words, each piece in its own place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bench.report.pictures import Colours
from bench.report.resolution_words import resolution_sentence, resolution_summary
from bench.report.tracking_pieces import (
    Piece,
    curves_piece,
    finals_piece,
    lags_piece,
    resolution_piece,
    secondary_piece,
    selection_piece,
    statistics_piece,
)
from bench.stats import Tracking
from bench.stats.descriptions import describe, describe_seeds, taken_by_run
from bench.stats.final_models import final_models
from bench.stats.resolution import resolve
from bench.stats.selection import choose, select


@dataclass(frozen=True)
class TrackingDetails:
    """What stands beside the primary analysis of the runs that one protocol scored.

    Attributes:
        summary: what these data could and could not have shown, for the report's first page.
        by_label: the same for each label.
        pieces: the descriptions.
    """

    summary: str
    by_label: Mapping[str, str]
    pieces: tuple[Piece, ...]


def tracking_details(
    runs: pd.DataFrame,
    curves: pd.DataFrame,
    quality: str,
    quality_name: str,
    trackings: Sequence[Tracking],
    *,
    floor: float | None,
    colours: Colours,
) -> TrackingDetails:
    """The descriptions of the runs that one protocol scored.

    Args:
        runs, curves: the tables of the records.
        quality, quality_name: the column of the quality measure and its name in running text.
        trackings: the primary analysis.
        floor: quality of real data against real data.
        colours: (light, dark) per label.
    """
    taken = taken_by_run(runs, curves, quality, floor)
    described = describe(trackings, describe_seeds(trackings, taken, quality))
    resolutions = [resolve(tracking) for tracking in trackings]
    pieces = (
        resolution_piece(resolutions),
        secondary_piece(trackings, taken, quality, quality_name),
        curves_piece(described, trackings, quality_name),
        statistics_piece(described),
        lags_piece(described, quality_name, colours),
        selection_piece(select(trackings, choose(trackings, taken, quality)), quality_name),
        finals_piece(final_models(runs, curves, quality), runs, quality_name, colours),
    )
    return TrackingDetails(
        summary=resolution_summary(resolutions),
        by_label={item.label: resolution_sentence(item) for item in resolutions},
        pieces=pieces,
    )

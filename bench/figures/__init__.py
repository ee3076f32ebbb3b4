"""Figures: one function each, DataFrame in, Figure out; no file is read, pyplot is not touched.

Every label has one colour and every seed one marker in all of them. Each has a wide shape for the
page and a narrow one for phones; `to_svg` and `to_pdf` write either, the same bytes every time.
"""

from bench.figures.comparison import forest_figure, pairs_figure
from bench.figures.curves import curves_figure
from bench.figures.final_models import final_models_figure
from bench.figures.lags import lags_figure
from bench.figures.performance import performance_figure
from bench.figures.profiles import layer_gradients_figure, weight_histograms_figure
from bench.figures.scatter import scatter_figure
from bench.figures.seeds import seeds_figure
from bench.figures.style import NARROW, WIDE, palette, settle, to_pdf, to_svg
from bench.figures.surfaces import value_surfaces_figure

__all__ = [
    "NARROW",
    "WIDE",
    "curves_figure",
    "final_models_figure",
    "forest_figure",
    "lags_figure",
    "layer_gradients_figure",
    "pairs_figure",
    "palette",
    "performance_figure",
    "scatter_figure",
    "seeds_figure",
    "settle",
    "to_pdf",
    "to_svg",
    "value_surfaces_figure",
    "weight_histograms_figure",
]

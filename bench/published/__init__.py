"""What others have published, with the protocols that made it: tables as data, and their matching.

The YAML files hold facts that were read in the source named, and nothing else; what a source is not
known to state is absent. `tables` loads them, `match` says which of ours stand beside which of
theirs and in which points the two protocols are alike. Nothing here compares two numbers.
"""

from bench.published.match import (
    DIFFERS,
    NOT_STATED,
    POINTS,
    SAME,
    Comparison,
    compare,
    counterparts,
    matching,
)
from bench.published.tables import Figure, Point, PublishedRow, PublishedTable, load

__all__ = [
    "DIFFERS",
    "NOT_STATED",
    "POINTS",
    "SAME",
    "Comparison",
    "Figure",
    "Point",
    "PublishedRow",
    "PublishedTable",
    "compare",
    "counterparts",
    "load",
    "matching",
]

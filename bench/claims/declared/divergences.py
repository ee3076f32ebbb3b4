"""Claims on divergences between known densities: computed, so that nothing is left to chance.

A claim on all densities is tried on some, and its number is the worst of them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

from bench.claims import divergences as known
from bench.claims.claim import Claim, Test
from bench.claims.contrasts import all_of
from bench.claims.evidence import Claimed, Evidence, Scale
from bench.claims.observations import Observations
from bench.claims.properties import (
    TRIED,
    Divergence,
    asymmetry,
    best_by_search,
    detour,
    growth,
    jump,
    off,
    root_js,
    slope,
    value_gap,
)

FAMILY = "divergences"
ARJOVSKY = "Arjovsky et al. 2017 (WGAN), arXiv:1701.07875"
GOODFELLOW = "Goodfellow et al. 2014, arXiv:1406.2661"
DEFINITION = "follows from the definition; the distances are those of " + ARJOVSKY
ROUNDING = 1e-7


def computed(
    effect: str,
    value: Callable[[], float],
    claimed: Claimed,
    margin: float,
    scale: Scale = "difference",
) -> Test:
    """A number that is computed without chance, on the scale of averaging, against 0."""
    once = functools.cache(value)

    def test(_: Observations) -> Sequence[Evidence]:
        return [Evidence(effect, (once(),), claimed, margin, scale, exact=True)]

    return test


DISTANCES: dict[str, tuple[str, Divergence]] = {
    "js": ("JS", known.js),
    "kl": ("KL", known.kl),
    "w1": ("W1", known.w1),
}
_POINTS = {"js": known.point_js, "kl": known.point_kl, "w1": known.point_w1}

for short, (name, divergence) in DISTANCES.items():
    Claim(
        f"{short}_is_symmetric",
        FAMILY,
        f"{name} is symmetric: D(p, q) = D(q, p).",
        f"all pairs among {TRIED}; none: 1e-7",
        DEFINITION,
        "",
        computed(
            f"largest asymmetry of {name} / (1 + {name})",
            functools.partial(asymmetry, divergence),
            "within",
            ROUNDING,
        ),
    )
    Claim(
        f"{short}_is_bounded",
        FAMILY,
        f"{name} is bounded, however far two distributions lie apart.",
        "N(0, 1) against N(40, 1) and N(80, 1), by quadrature; none: growth by 1 %",
        DEFINITION,
        "",
        computed(
            f"{name} at twice the distance over {name}",
            functools.partial(growth, divergence),
            "within",
            math.log(1.01),
            "ratio",
        ),
    )
    Claim(
        f"{short}_is_continuous",
        FAMILY,
        f"{name} is continuous: it falls to 0 as one distribution moves onto the other.",
        "point masses at 0 and at 1e-9, which share no support; none: 1e-6",
        ARJOVSKY + ", example 1",
        "",
        computed(
            f"{name} / (1 + {name}) of two point masses 1e-9 apart",
            functools.partial(jump, _POINTS[short]),
            "within",
            1e-6,
        ),
    )

for short, name, divergence in (
    *((short, *pair) for short, pair in DISTANCES.items()),
    ("root_js", "the square root of JS", root_js),
):
    Claim(
        f"{short}_has_a_triangle_inequality",
        FAMILY,
        f"{name[0].upper()}{name[1:]} satisfies the triangle inequality.",
        f"all triples among {TRIED}; none: 1e-7",
        DEFINITION,
        "",
        computed(
            f"most by which {name} exceeds the way round, each as D / (1 + D)",
            functools.partial(detour, divergence),
            "within",
            ROUNDING,
        ),
    )

Claim(
    "js_is_flat_on_disjoint_supports",
    FAMILY,
    "On supports that do not meet JS is log 2 and has no slope.",
    "point masses at 0 and theta = -3, .01 and 2, computed; none: 1e-7",
    ARJOVSKY + ", example 1",
    "",
    all_of(
        *(
            part
            for theta in (-3.0, 0.01, 2.0)
            for part in (
                computed(
                    f"JS less log 2 at theta = {theta:g}",
                    functools.partial(off, known.point_js, theta, math.log(2)),
                    "within",
                    ROUNDING,
                ),
                computed(
                    f"slope of JS in theta at {theta:g}",
                    functools.partial(slope, known.point_js, theta, 0.0),
                    "within",
                    ROUNDING,
                ),
            )
        )
    ),
)
Claim(
    "w1_slopes_to_the_data_on_disjoint_supports",
    FAMILY,
    "On supports that do not meet W1 is |theta| and its slope the sign of theta.",
    "point masses at 0 and theta = -3, .01 and 2, computed; none: 1e-7",
    ARJOVSKY + ", example 1",
    "",
    all_of(
        *(
            part
            for theta in (-3.0, 0.01, 2.0)
            for part in (
                computed(
                    f"W1 less |theta| at theta = {theta:g}",
                    functools.partial(off, known.point_w1, theta, abs(theta)),
                    "within",
                    ROUNDING,
                ),
                computed(
                    f"slope of W1 in theta at {theta:g}, less the sign of theta",
                    functools.partial(slope, known.point_w1, theta, math.copysign(1, theta)),
                    "within",
                    ROUNDING,
                ),
            )
        )
    ),
)

Claim(
    "best_discriminator_is_p_over_p_plus_q",
    FAMILY,
    "The discriminator that is best against p and q is D = p / (p + q).",
    "searched for at 5 points of 3 pairs: N(0, 1) with N(1, 1) and N(0, 2^2), U[-1, 1] with "
    "U[.5, 4]; none: 1e-6",
    GOODFELLOW,
    "",
    computed("largest |D found - p / (p + q)|", best_by_search, "within", 1e-6),
)
Claim(
    "minimax_value_is_twice_js_less_log_4",
    FAMILY,
    "At the best discriminator the minimax value is 2 JS - 2 log 2.",
    f"all pairs on the line among {TRIED}; both sides by quadratures of their own; none: 1e-7",
    GOODFELLOW,
    "",
    computed("largest |V(D) - (2 JS - 2 log 2)|", value_gap, "within", ROUNDING),
)

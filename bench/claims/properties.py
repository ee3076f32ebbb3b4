"""Whether divergences have the properties that are claimed of them, tried on known densities.

A property of all densities cannot be shown by trying; its worst case over those tried can be
computed, and one case against it refutes it. What may be infinite is read as D / (1 + D), which is
1 there.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable

from scipy import optimize

from bench.claims import divergences as known
from bench.claims.divergences import KnownDensity, Masses

Divergence = Callable[[KnownDensity, KnownDensity], float]
OfMasses = Callable[[Masses, Masses], float]

LINE: tuple[KnownDensity, ...] = (
    known.gaussian(0, 1),
    known.gaussian(1, 1),
    known.gaussian(3, 0.5),
    known.gaussian(0, 2),
    known.uniform(-1, 1),
    known.uniform(0.5, 4),
)
PLANE = tuple(known.radius(deviation) for deviation in (0.5, 1, 2))
TRIED = (
    "N(0, 1), N(1, 1), N(3, .5^2), N(0, 2^2), U[-1, 1] and U[.5, 4], and N(0, s^2 I) in the plane "
    "for s = .5, 1, 2; computed by quadrature"
)


def bounded(value: float) -> float:
    """D / (1 + D): 1 where D is infinite."""
    return 1.0 if math.isinf(value) else value / (1 + value)


def root_js(p: KnownDensity, q: KnownDensity) -> float:
    """The square root of JS."""
    return math.sqrt(max(0.0, known.js(p, q)))


@functools.cache
def between(distance: Divergence, p: KnownDensity, q: KnownDensity) -> float:
    """The distance, computed once."""
    return distance(p, q)


def asymmetry(distance: Divergence) -> float:
    """The largest |D(p, q) - D(q, p)| over pairs, each read as D / (1 + D)."""
    pairs = (pair for group in (LINE, PLANE) for pair in itertools.combinations(group, 2))
    return max(
        abs(bounded(between(distance, p, q)) - bounded(between(distance, q, p))) for p, q in pairs
    )


def detour(distance: Divergence) -> float:
    """The most by which D(p, r) exceeds D(p, q) + D(q, r); at least 0."""
    triples = (three for group in (LINE, PLANE) for three in itertools.permutations(group, 3))
    worst = 0.0
    for p, q, r in triples:
        around = between(distance, p, q) + between(distance, q, r)
        if math.isfinite(around):
            worst = max(worst, bounded(between(distance, p, r)) - bounded(around))
    return worst


def growth(distance: Divergence) -> float:
    """Log of what D grows by when two unit Gaussians at a distance of 40 are moved to 80."""
    near, far = (distance(known.gaussian(0, 1), known.gaussian(d, 1)) for d in (40, 80))
    return math.log(far / near)


def jump(distance: OfMasses) -> float:
    """D / (1 + D) of two point masses at 1e-9 from each other; 0 if D falls to 0 with them."""
    return bounded(distance({0.0: 1.0}, {1e-9: 1.0}))


def off(distance: OfMasses, theta: float, expected: float) -> float:
    """By how much D of point masses at 0 and theta differs from what is expected."""
    return distance({0.0: 1.0}, {theta: 1.0}) - expected


def slope(distance: OfMasses, theta: float, expected: float) -> float:
    """The same of its slope in theta, by a central difference."""
    step = 1e-4 * abs(theta)
    up, down = (distance({0.0: 1.0}, {theta + by: 1.0}) for by in (step, -step))
    return (up - down) / (2 * step) - expected


def best_by_search() -> float:
    """The largest difference, at points, of the best D as it is searched for and p / (p + q)."""
    worst = 0.0
    for p, q in ((LINE[0], LINE[1]), (LINE[0], LINE[3]), (LINE[4], LINE[5])):
        for x in (-0.9, -0.3, 0.1, 0.6, 0.95):
            a, b = math.exp(p.log_density(x)), math.exp(q.log_density(x))
            found = optimize.minimize_scalar(
                lambda d, a=a, b=b: -(a * math.log(d) + b * math.log1p(-d)),
                bounds=(1e-12, 1 - 1e-12),
                method="bounded",
                options={"xatol": 1e-10},
            )
            worst = max(worst, abs(float(found.x) - known.best_discriminator(p, q, x)))
    return worst


def value_gap() -> float:
    """The largest |V(D) - (2 JS - 2 log 2)| over pairs, at D = p / (p + q)."""
    return max(
        abs(known.minimax_value(p, q) - 2 * between(known.js, p, q) + 2 * math.log(2))
        for p, q in itertools.combinations(LINE, 2)
    )

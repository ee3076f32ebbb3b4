"""Divergences and distances between distributions that are known, to about 1e-9, in nats.

What the claims on divergences are computed from: densities on the line by quadrature, masses on
points by sums. Two pairs in the plane come along: N(0, I) moved along an axis is the pair of its
first coordinates, and N(0, I) scaled that of its radii (`radius`), since what is equal in both adds
nothing to any of the distances.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import integrate, special

_TOLERANCE = 1e-11


@dataclass(frozen=True)
class KnownDensity:
    """A density on the line that is above 0 on one interval.

    Attributes:
        name: as it is written, such as "N(0, 1)".
        log_density: log p(x); -inf where p is 0.
        distribution: P(X <= x).
        low, high: all but 1e-30 of its mass lies between them.
        breaks: where the density jumps or is centred: points at which to part an integral.
    """

    name: str
    log_density: Callable[[float], float]
    distribution: Callable[[float], float]
    low: float
    high: float
    breaks: tuple[float, ...]


def gaussian(mean: float, deviation: float) -> KnownDensity:
    """N(mean, deviation^2)."""
    scale = math.log(deviation) + 0.5 * math.log(2 * math.pi)
    return KnownDensity(
        f"N({mean:g}, {deviation:g}^2)",
        lambda x: -0.5 * ((x - mean) / deviation) ** 2 - scale,
        lambda x: float(special.ndtr((x - mean) / deviation)),
        mean - 12 * deviation,
        mean + 12 * deviation,
        tuple(mean + deviation * k for k in (-4, -2, 0, 2, 4)),
    )


def uniform(low: float, high: float) -> KnownDensity:
    """U[low, high]."""
    height = -math.log(high - low)
    return KnownDensity(
        f"U[{low:g}, {high:g}]",
        lambda x: height if low <= x <= high else -math.inf,
        lambda x: min(1.0, max(0.0, (x - low) / (high - low))),
        low,
        high,
        (low, high),
    )


def radius(deviation: float) -> KnownDensity:
    """The length of a vector of N(0, deviation^2 I) in the plane: Rayleigh's density."""
    scale = 2 * math.log(deviation)
    return KnownDensity(
        f"|N(0, {deviation:g}^2 I)|",
        lambda r: math.log(r) - scale - 0.5 * (r / deviation) ** 2 if r > 0 else -math.inf,
        lambda r: -math.expm1(-0.5 * (r / deviation) ** 2) if r > 0 else 0.0,
        0.0,
        12 * deviation,
        tuple(deviation * k for k in (0.5, 1, 2, 4)),
    )


def kl(p: KnownDensity, q: KnownDensity) -> float:
    """Kullback and Leibler's KL(p || q) = E_p log p/q; infinite where q is 0 and p is not."""
    if p.low < q.low and not math.isfinite(q.log_density(p.low)):
        return math.inf
    if p.high > q.high and not math.isfinite(q.log_density(p.high)):
        return math.inf

    def share(x: float) -> float:
        own = p.log_density(x)
        return math.exp(own) * (own - q.log_density(x)) if math.isfinite(own) else 0.0

    return _integral(share, p.low, p.high, (*p.breaks, *q.breaks))


def js(p: KnownDensity, q: KnownDensity) -> float:
    """Jensen and Shannon's divergence: the mean of KL(p || m) and KL(q || m), m = (p + q) / 2."""
    halves = [_to_mixture(one, other) for one, other in ((p, q), (q, p))]
    return sum(halves) / 2


def w1(p: KnownDensity, q: KnownDensity) -> float:
    """Wasserstein-1: on the line the integral of |F - G| (Vallender 1974)."""
    return _integral(
        lambda x: abs(p.distribution(x) - q.distribution(x)),
        min(p.low, q.low),
        max(p.high, q.high),
        (*p.breaks, *q.breaks),
    )


def best_discriminator(p: KnownDensity, q: KnownDensity, x: float) -> float:
    """D(x) = p / (p + q); 1/2 where both are 0."""
    log_p, log_q = p.log_density(x), q.log_density(x)
    if log_p == log_q == -math.inf:
        return 0.5
    return float(special.expit(log_p - log_q))


def minimax_value(
    p: KnownDensity, q: KnownDensity, log_odds: Callable[[float], float] | None = None
) -> float:
    """E_p log D + E_q log(1 - D), for D by its log odds; None: those of the best, log p - log q."""

    def odds(x: float) -> float:
        return p.log_density(x) - q.log_density(x) if log_odds is None else log_odds(x)

    def part(of: KnownDensity, sign: int) -> float:
        def share(x: float) -> float:
            own = of.log_density(x)
            if own == -math.inf:
                return 0.0
            return -math.exp(own) * float(np.logaddexp(0.0, -sign * odds(x)))

        return _integral(share, of.low, of.high, (*p.breaks, *q.breaks))

    return part(p, 1) + part(q, -1)


Masses = Mapping[float, float]  # points on the line and their probabilities


def point_kl(p: Masses, q: Masses) -> float:
    """KL(p || q) of masses on points."""
    points = sorted({*p, *q})
    shares = special.rel_entr([p.get(x, 0.0) for x in points], [q.get(x, 0.0) for x in points])
    return float(np.sum(shares))


def point_js(p: Masses, q: Masses) -> float:
    """JS of masses on points."""
    mixture = {x: (p.get(x, 0.0) + q.get(x, 0.0)) / 2 for x in {*p, *q}}
    return (point_kl(p, mixture) + point_kl(q, mixture)) / 2


def point_w1(p: Masses, q: Masses) -> float:
    """Wasserstein-1 of masses on points."""
    from scipy import stats  # 0.4 s, which no report needs

    return float(stats.wasserstein_distance(list(p), list(q), list(p.values()), list(q.values())))


def _to_mixture(p: KnownDensity, q: KnownDensity) -> float:
    """KL(p || (p + q) / 2), by softplus of the log ratio: nothing cancels, nothing overflows."""

    def share(x: float) -> float:
        own = p.log_density(x)
        if own == -math.inf:
            return 0.0
        # log p / ((p + q) / 2) = log 2 - log(1 + q / p).
        return math.exp(own) * (math.log(2) - float(np.logaddexp(0.0, q.log_density(x) - own)))

    return _integral(share, p.low, p.high, (*p.breaks, *q.breaks))


def _integral(
    function: Callable[[float], float], low: float, high: float, breaks: Sequence[float]
) -> float:
    """The integral from `low` to `high`, parted at the breaks between them."""
    ends = sorted({low, high, *(point for point in breaks if low < point < high)})
    total = 0.0
    with warnings.catch_warnings():
        # A part that is flat to rounding cannot be improved, which is no failure.
        warnings.simplefilter("ignore", integrate.IntegrationWarning)
        for left, right in itertools.pairwise(ends):
            part, error = integrate.quad(
                function, left, right, epsabs=_TOLERANCE, epsrel=1e-11, limit=200
            )
            assert error < 1e-8 * max(1.0, abs(part)), (left, right, error)
            total += float(part)
    return total

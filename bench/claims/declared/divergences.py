"""Claims on divergences: what they are between known densities, and what trained critics read.

The first kind is computed and leaves nothing to chance: a claim on all densities is tried on some,
and its number is the worst of them. What may be infinite is read as D / (1 + D), which is 1 there.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence

from scipy import optimize

from bench.claims import divergences as known
from bench.claims.claim import Claim, Test
from bench.claims.contrasts import all_of, single
from bench.claims.divergences import KnownDensity
from bench.claims.evidence import Claimed, Evidence
from bench.claims.measures import last
from bench.claims.observations import Observations, Where

Divergence = Callable[[KnownDensity, KnownDensity], float]
OfMasses = Callable[[known.Masses, known.Masses], float]

FAMILY = "divergences"
SWEEP = "claims_divergences"
ARJOVSKY = "Arjovsky et al. 2017 (WGAN), arXiv:1701.07875"
PERFECT = "Arjovsky and Bottou 2017, arXiv:1701.04862, section 2"
GOODFELLOW = "Goodfellow et al. 2014, arXiv:1406.2661"
DEFINITION = "follows from the definition; the distances are those of " + ARJOVSKY
ROUNDING = 1e-7
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


def computed(effect: str, value: Callable[[], float], claimed: Claimed, margin: float) -> Test:
    """A number that is computed without chance, against 0."""
    once = functools.cache(value)

    def test(_: Observations) -> Sequence[Evidence]:
        return [Evidence(effect, (once(),), claimed, margin, exact=True)]

    return test


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
    """By what D grows when two unit Gaussians at a distance of 40 are moved to 80: its logarithm."""
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
            f"growth of {name} when the distance is doubled",
            functools.partial(growth, divergence),
            "within",
            math.log(1.01),
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
    GOODFELLOW + ", proposition 1",
    "",
    computed("largest |D found - p / (p + q)|", best_by_search, "within", 1e-6),
)
Claim(
    "minimax_value_is_twice_js_less_log_4",
    FAMILY,
    "At the best discriminator the minimax value is 2 JS - 2 log 2.",
    f"all pairs on the line among {TRIED}; both sides by quadratures of their own; none: 1e-7",
    GOODFELLOW + ", theorem 1",
    "",
    computed("largest |V(D) - (2 JS - 2 log 2)|", value_gap, "within", ROUNDING),
)

# What trained critics read. The fakes stand still, so that each critic is trained to its optimum.
MINIMAX: Where = {"loss": "minimax", "lipschitz": "none"}
LIPSCHITZ: Where = {"loss": "wasserstein", "lipschitz": "lipschitz_network"}
OVERLAPPING: Where = {**MINIMAX, "dataset": {"shifted_gaussians": {"shift": 1, "dimension": 2}}}
DISJOINT: Where = {**MINIMAX, "dataset": "ring8"}
P, Q = known.gaussian(1, 1), known.gaussian(0, 1)
LEARNT = "mlp of width 64, generator frozen, no held-out sample seen in training; "


def at(theta: float, critic: Where) -> Where:
    """Point masses at 0 and theta."""
    return {**critic, "dataset": {"point_mass": {"theta": theta}}}


def expected_slope() -> float:
    """E_q D |grad log p/q|: what of a minimax generator's gradient the best D lets through."""
    points = [(k + 0.5) / 2000 * 20 - 10 for k in range(2000)]
    weights = [math.exp(Q.log_density(x)) * 0.01 for x in points]
    return sum(w * known.best_discriminator(P, Q, x) for w, x in zip(weights, points, strict=True))


Claim(
    "trained_discriminator_is_p_over_p_plus_q",
    FAMILY,
    "A trained discriminator comes to D = p / (p + q).",
    f"N(e_1, I) against N(0, I) in the plane, where log D / (1 - D) is x_1 - 1/2; {LEARNT}the "
    "spread of the scores, the accuracy and the gradient at the fakes against theirs under the "
    "best D; none: 5 %",
    GOODFELLOW + ", proposition 1",
    SWEEP,
    all_of(
        single(
            "standard deviation of log D / (1 - D) over that of the best",
            last("score_std"),
            OVERLAPPING,
            claimed="within",
            margin=1.05,
            scale="ratio",
            against=math.sqrt(1.25),
        ),
        single(
            "accuracy over that of the best",
            last("critic_accuracy"),
            OVERLAPPING,
            claimed="within",
            margin=1.05,
            scale="ratio",
            against=Q.distribution(0.5),
        ),
        single(
            "gradient at the fakes over that of the best",
            last("fake_gradient_norm"),
            OVERLAPPING,
            claimed="within",
            margin=1.05,
            scale="ratio",
            against=expected_slope(),
        ),
    ),
)
Claim(
    "trained_minimax_value_is_twice_js_less_log_4",
    FAMILY,
    "The value that a trained discriminator reaches is 2 JS - 2 log 2.",
    f"N(e_1, I) against N(0, I) in the plane; {LEARNT}the held-out estimate, which is half the "
    "value plus log 2, against JS; none: 5 %",
    GOODFELLOW + ", theorem 1",
    SWEEP,
    single(
        "held-out estimate over JS",
        last("estimate_held_out"),
        OVERLAPPING,
        claimed="within",
        margin=1.05,
        scale="ratio",
        against=known.js(P, Q),
    ),
)
Claim(
    "discriminator_reaches_accuracy_1_on_disjoint_supports",
    FAMILY,
    "A discriminator tells every sample where supports do not meet, and not where they do.",
    f"a ring of 8 against itself moved by 1 (18 standard deviations or more apart), and N(e_1, I) "
    f"against N(0, I), whose best accuracy is {Q.distribution(0.5):.3f}; {LEARNT}none: .001, .02",
    PERFECT,
    SWEEP,
    all_of(
        single(
            "accuracy on disjoint supports",
            last("critic_accuracy"),
            DISJOINT,
            claimed="within",
            margin=0.001,
            against=1.0,
        ),
        single(
            "accuracy on overlapping supports",
            last("critic_accuracy"),
            OVERLAPPING,
            claimed="within",
            margin=0.02,
            against=Q.distribution(0.5),
        ),
    ),
)
THETAS = (-3.0, 0.5)
Claim(
    "trained_js_reads_log_2_without_gradient",
    FAMILY,
    "On supports that do not meet a trained discriminator reads log 2 and sends no gradient.",
    f"point masses at 0 and theta = -3 and .5; {LEARNT}the gradient is the minimax generator's; "
    "none: .01 of log 2, a gradient of .001",
    ARJOVSKY + ", example 1; " + PERFECT,
    SWEEP,
    all_of(
        *(
            part
            for theta in THETAS
            for part in (
                single(
                    f"JS estimate at theta = {theta:g}",
                    last("estimate_held_out"),
                    at(theta, MINIMAX),
                    claimed="within",
                    margin=0.01,
                    against=math.log(2),
                ),
                single(
                    f"gradient at the fakes at theta = {theta:g}",
                    last("fake_gradient_norm"),
                    at(theta, MINIMAX),
                    claimed="within",
                    margin=1e-3,
                ),
            )
        )
    ),
)
Claim(
    "trained_w1_reads_the_distance_and_its_sign",
    FAMILY,
    "On supports that do not meet a 1-Lipschitz critic reads |theta| and slopes to the data.",
    f"point masses at 0 and theta = -3 and .5; {LEARNT}1-Lipschitz by construction (the gradient "
    "penalty is biased here and may keep the wrong sign); on the line a critic of slope 1 at most "
    "whose estimate is +|theta| rises from the fakes to the data all the way; none: 2 %, and 5 % "
    "of a slope of 1",
    ARJOVSKY + ", example 1",
    SWEEP,
    all_of(
        *(
            part
            for theta in THETAS
            for part in (
                single(
                    f"estimate over |theta| at theta = {theta:g}",
                    last("estimate_held_out"),
                    at(theta, LIPSCHITZ),
                    claimed="within",
                    margin=1.02,
                    scale="ratio",
                    against=abs(theta),
                ),
                single(
                    f"slope at the fakes at theta = {theta:g}",
                    last("fake_gradient_norm"),
                    at(theta, LIPSCHITZ),
                    claimed="within",
                    margin=1.05,
                    scale="ratio",
                ),
            )
        )
    ),
)

"""Claims on what trained critics read of known distributions: JS, the best discriminator, W1.

The fakes stand still, so that each critic is trained to its optimum.
"""

from __future__ import annotations

import math

from bench.claims import divergences as known
from bench.claims.claim import Claim
from bench.claims.contrasts import all_of, single
from bench.claims.measures import last
from bench.claims.observations import Where

FAMILY = "divergences"
SWEEP = "claims_divergences"
ARJOVSKY = "Arjovsky et al. 2017 (WGAN), arXiv:1701.07875"
PERFECT = "Arjovsky and Bottou 2017, arXiv:1701.04862, section 2"
GOODFELLOW = "Goodfellow et al. 2014, arXiv:1406.2661"
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
    GOODFELLOW,
    SWEEP,
    all_of(
        single(
            f"standard deviation of log D / (1 - D); of the best {math.sqrt(1.25):.4f}",
            last("score_std"),
            OVERLAPPING,
            claimed="within",
            margin=1.05,
            scale="ratio",
            against=math.sqrt(1.25),
        ),
        single(
            f"accuracy; of the best {Q.distribution(0.5):.4f}",
            last("critic_accuracy"),
            OVERLAPPING,
            claimed="within",
            margin=1.05,
            scale="ratio",
            against=Q.distribution(0.5),
        ),
        single(
            f"gradient at the fakes; of the best {expected_slope():.4f}",
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
    GOODFELLOW,
    SWEEP,
    single(
        f"held-out estimate; JS is {known.js(P, Q):.4f}",
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
    f"a ring of 8 against itself moved by 1 (36 standard deviations apart), and N(e_1, I) "
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
                    f"estimate at theta = {theta:g}",
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

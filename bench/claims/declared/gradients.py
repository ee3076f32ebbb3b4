"""Claims on gradients: where the generator's vanishes, by loss, constraint and support.

The table of STATISTICS section 6: each of its 24 cells belongs to one claim. Here the generator is
frozen and the critic trained to its optimum; the last claims are on generators that are trained.
"""

from __future__ import annotations

import math

from bench.claims.claim import Claim, Test
from bench.claims.contrasts import all_of, paired, single
from bench.claims.evidence import Claimed
from bench.claims.measures import (
    at_least,
    at_step,
    deepest_trough,
    final,
    highest_peak,
    largest,
    late,
    log_spread,
    over,
)
from bench.claims.observations import Where

FAMILY = "gradients"
FROZEN, TRAINED = "claims_gradients", "claims_gradients_trained"
EARLY = 100  # critic updates after which gradients are compared with
VANISHED = 1e-3  # of the peak
LASTING = (0.3, 3.0)  # of gradient / K at EARLY

PERFECT = "Arjovsky and Bottou 2017, arXiv:1701.04862, section 2"
ARJOVSKY = "Arjovsky et al. 2017 (WGAN), arXiv:1701.07875"
GULRAJANI = "Gulrajani et al. 2017 (WGAN-GP), arXiv:1704.00028"
ANIL = "Anil et al. 2019, arXiv:1811.05381"
GOODFELLOW = "Goodfellow et al. 2014, arXiv:1406.2661, section 3"

DATA = {
    "disjoint": "a ring of 8 with deviation .02 against itself moved by 1: 36 deviations apart",
    "overlapping": "a ring of 8 with deviation 1 against itself moved by 1",
}
STD = {"disjoint": 0.02, "overlapping": 1.0}
CRITIC = "; generator frozen, mlp critic of width 64, 3,000 updates, rates as suit each constraint"
K_PROTOCOL = (
    "; K is the steepest slope found at 256 held-out reals, fakes and points between, and over all "
    "pairs of them, without ascent"
)
METHODS = {
    "gradient_penalty": ("the gradient penalty", "penalty", GULRAJANI),
    "weight_clipping": ("weight clipping", "clipping", ARJOVSKY),
    "lipschitz_network": ("a critic that is 1-Lipschitz by construction", "network", ANIL),
}

gradient = final("fake_gradient_norm")
steepness = final("lipschitz_lower_bound")
# In single precision a gradient that has vanished may be 0.
of_peak = at_least(over(gradient, largest("fake_gradient_norm")), 1e-12)
growth = over(gradient, at_step("fake_gradient_norm", EARLY))
change_per_k = over(
    over(gradient, steepness),
    over(at_step("fake_gradient_norm", EARLY), at_step("lipschitz_lower_bound", EARLY)),
)


def cell(loss: str, method: str, support: str) -> Where:
    """The runs of one cell of the table."""
    return {"loss": loss, "lipschitz": method, "dataset": {"ring8": {"std": STD[support]}}}


def share_of_peak(loss: str, support: str, claimed: Claimed) -> Test:
    """The last gradient over the largest, against a thousandth, without a constraint."""
    return single(
        f"{loss}, {support}: last gradient at the fakes over its peak",
        of_peak,
        cell(loss, "none", support),
        claimed=claimed,
        margin=1.5,
        scale="ratio",
        against=VANISHED,
    )


def grows(loss: str, support: str) -> Test:
    """The last gradient over that of step 100, without a constraint."""
    return single(
        f"{loss}, {support}: last gradient at the fakes over that of step {EARLY}",
        growth,
        cell(loss, "none", support),
        claimed="above",
        margin=1.5,
        scale="ratio",
    )


def lasts(loss: str, method: str, support: str) -> Test:
    """Gradient over K at the end over the same at step 100, within [.3, 3]."""
    low, high = LASTING
    return single(
        f"{loss}, {method}, {support}: gradient / K at the end over that of step {EARLY}",
        change_per_k,
        cell(loss, method, support),
        claimed="within",
        margin=math.sqrt(high / low),
        scale="ratio",
        against=math.sqrt(high * low),
    )


Claim(
    "minimax_gradient_vanishes_on_disjoint_supports",
    FAMILY,
    "Where supports do not meet, the minimax generator's gradient vanishes as the critic nears its "
    "optimum.",
    f"{DATA['disjoint']}{CRITIC}; vanishes: the last below a thousandth of the peak (a factor of "
    "1.5 counts as none)",
    PERFECT,
    FROZEN,
    share_of_peak("minimax", "disjoint", "below"),
)
Claim(
    "nonsaturating_gradient_grows_on_disjoint_supports",
    FAMILY,
    "Where supports do not meet, the gradient of the non-saturating generator does not vanish but "
    "grows.",
    f"{DATA['disjoint']}{CRITIC}; grows: from step {EARLY} to the end (a factor of 1.5 counts as "
    "none)",
    GOODFELLOW,
    FROZEN,
    all_of(share_of_peak("nonsaturating", "disjoint", "above"), grows("nonsaturating", "disjoint")),
)
Claim(
    "unconstrained_wasserstein_gradient_runs_away",
    FAMILY,
    "Without a constraint the gradient of the Wasserstein loss grows without end.",
    f"{DATA['disjoint']}, and {DATA['overlapping']}{CRITIC}; grows: from step {EARLY} to the end, "
    "or to where the run diverged (a factor of 1.5 counts as none)",
    ARJOVSKY,
    FROZEN,
    all_of(grows("wasserstein", "disjoint"), grows("wasserstein", "overlapping")),
)
Claim(
    "overlap_keeps_the_gradient_of_standard_gans",
    FAMILY,
    "Where supports overlap, the gradients of the standard GANs do not vanish.",
    f"{DATA['overlapping']}{CRITIC}; the control of the claims on disjoint supports",
    PERFECT,
    FROZEN,
    all_of(
        share_of_peak("minimax", "overlapping", "above"),
        share_of_peak("nonsaturating", "overlapping", "above"),
    ),
)
for support in DATA:
    Claim(
        f"constrained_wasserstein_gradient_persists_on_{support}_supports",
        FAMILY,
        f"Under a constraint the gradient of the Wasserstein loss persists on {support} supports.",
        f"{DATA[support]}{CRITIC}; persists: gradient / K at the end between .3 and 3 of that of "
        f"step {EARLY}{K_PROTOCOL}",
        ARJOVSKY,
        FROZEN,
        all_of(*(lasts("wasserstein", method, support) for method in METHODS)),
    )
for method, (said, short, source) in METHODS.items():
    Claim(
        f"{short}_keeps_the_gradient_of_standard_gans_on_disjoint_supports",
        FAMILY,
        f"Under {said} the gradients of the standard GANs persist where supports do not meet.",
        f"{DATA['disjoint']}{CRITIC}; persists: gradient / K at the end between .3 and 3 of that "
        f"of step {EARLY}{K_PROTOCOL}",
        f"whether it is the loss or the constraint that keeps gradients; method: {source}",
        FROZEN,
        all_of(
            lasts("minimax", method, "disjoint"),
            lasts("nonsaturating", method, "disjoint"),
        ),
    )
for loss in ("minimax", "nonsaturating"):
    Claim(
        f"constrained_{loss}_gradient_persists_on_overlapping_supports",
        FAMILY,
        f"Under a constraint the gradient of the {loss} generator persists where supports overlap.",
        f"{DATA['overlapping']}{CRITIC}; persists: gradient / K at the end between .3 and 3 of "
        f"that of step {EARLY}{K_PROTOCOL}; the control of the claims on disjoint supports",
        GOODFELLOW,
        FROZEN,
        all_of(*(lasts(loss, method, "overlapping") for method in METHODS)),
    )

# Generators that are trained: every update's gradient, the first tenth of the training left out.
DIGITS = "digits, dcgan of width 32, 1,000 steps, each recipe at its paper's rates"
STEADY = {
    "wgan": ("A clipped WGAN", "clipped_wgan", ARJOVSKY),
    "wgan_gp": ("A WGAN with gradient penalty", "wgan_gp", GULRAJANI),
}
NORM = "generator_gradient_norm"
TENFOLD = 10.0

for recipe, (said, short, source) in STEADY.items():
    Claim(
        f"{short}_gradient_has_neither_spikes_nor_flat_zones",
        FAMILY,
        f"{said} trains its generator by gradients without spikes or flat zones.",
        f"{DIGITS}; a spike: an update's gradient above ten times the median; a flat zone: a "
        "twentieth of the training whose median gradient lies below a tenth of the median; within "
        "10 % of ten it counts as there",
        source,
        TRAINED,
        all_of(
            single(
                f"{recipe}: largest gradient of the generator over the median",
                late(NORM, highest_peak, share=0.9),
                {"recipe": recipe},
                claimed="below",
                margin=1.1,
                scale="ratio",
                against=TENFOLD,
            ),
            single(
                f"{recipe}: median gradient of the generator over that of its flattest zone",
                late(NORM, deepest_trough, share=0.9),
                {"recipe": recipe},
                claimed="below",
                margin=1.1,
                scale="ratio",
                against=TENFOLD,
            ),
        ),
    )
    Claim(
        f"{short}_gradient_is_steadier_than_the_standard_gans",
        FAMILY,
        f"{said} trains its generator by gradients that vary less than the standard GAN's.",
        f"{DIGITS}; the standard deviation of the logarithm of the generator's gradient from "
        "update to update, against the non-saturating and the minimax GAN's; none: 10 %",
        source,
        TRAINED,
        all_of(
            *(
                paired(
                    f"spread of the log gradient of {recipe} over that of {other}",
                    late(NORM, log_spread, share=0.9),
                    {"recipe": recipe},
                    {"recipe": other},
                    claimed="below",
                    margin=1.1,
                )
                for other in ("gan", "minimax_gan")
            )
        ),
    )

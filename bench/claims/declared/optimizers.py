"""Claims on optimizers: momentum and Adam under weight clipping, and the rates that GANs want."""

from __future__ import annotations

from bench.claims.claim import Claim
from bench.claims.contrasts import all_of, best_of, paired
from bench.claims.measures import last, late, roughness
from bench.claims.observations import Where

FAMILY = "optimizers"
SWEEP = "claims_optimizers"
ARJOVSKY = "Arjovsky et al. 2017 (WGAN), arXiv:1701.07875"
RATES = (2e-5, 6e-5, 2e-4, 6e-4, 2e-3)
SETTING = "digits, dcgan of width 16, 1,000 steps; all but the optimizer as the recipe has it"
FID = last("fid")


def clipped(optimizer: str, **settings: float) -> Where:
    """A clipped WGAN with this optimizer in both networks."""
    return {"recipe": "wgan", "optimizer": {optimizer: settings}}


PLAIN = clipped("rmsprop", lr=6e-5, momentum=0.0)
# Momentum .9 adds up to ten times the step: at a tenth of the rate it goes as far.
AS_FAR = clipped("rmsprop", lr=6e-6, momentum=0.9)
AS_FAST = clipped("rmsprop", lr=6e-5, momentum=0.9)
CALM, DCGAN_ADAM, HEAVY = (clipped("adam", lr=6e-5, beta1=beta1) for beta1 in (0.0, 0.5, 0.9))

Claim(
    "momentum_in_adam_hurts_clipped_wgan",
    FAMILY,
    "Adam's momentum hurts the clipped WGAN.",
    f"{SETTING}; Adam 6e-5 with beta1 .9 against 0 (beta2 .999); FID at the end; none: 10 %",
    ARJOVSKY,
    SWEEP,
    paired(
        "final FID of a clipped WGAN under Adam with beta1 .9 over that with 0",
        FID,
        HEAVY,
        CALM,
        claimed="above",
        margin=1.1,
    ),
)
Claim(
    "momentum_in_rmsprop_hurts_clipped_wgan",
    FAMILY,
    "RMSprop's momentum hurts the clipped WGAN, at the same rate as at one at which its steps add "
    "up to as much.",
    f"{SETTING}; RMSprop with momentum .9 at 6e-5 and at 6e-6 against none at 6e-5; final FID; "
    "none: 10 %",
    ARJOVSKY,
    SWEEP,
    all_of(
        paired(
            "final FID of a clipped WGAN with momentum over that without, at the same rate",
            FID,
            AS_FAST,
            PLAIN,
            claimed="above",
            margin=1.1,
        ),
        paired(
            "final FID of a clipped WGAN with momentum over that without, at a tenth of the rate",
            FID,
            AS_FAR,
            PLAIN,
            claimed="above",
            margin=1.1,
        ),
    ),
)
Claim(
    "rmsprop_is_steadier_than_adam_under_clipping",
    FAMILY,
    "Under weight clipping RMSprop trains more steadily than Adam.",
    f"{SETTING}; RMSprop against Adam with DCGAN's betas, both at 6e-5; median change of FID from "
    "one evaluation to the next over the median FID, last half; none: 10 %",
    ARJOVSKY,
    SWEEP,
    paired(
        "roughness of a clipped WGAN's FID under RMSprop over that under Adam",
        late("fid", roughness),
        PLAIN,
        DCGAN_ADAM,
        claimed="below",
        margin=1.1,
    ),
)
DCGAN_RATES: dict[float, Where] = {
    rate: {"recipe": "gan", "optimizer": {"adam": {"lr": rate}}} for rate in RATES
}
WGAN_RATES: dict[str, tuple[str, dict[float, Where]]] = {
    "clipped_wgan": (
        "A clipped WGAN",
        {rate: clipped("rmsprop", lr=rate, momentum=0.0) for rate in RATES},
    ),
    "wgan_gp": (
        "A WGAN with gradient penalty",
        {rate: {"recipe": "wgan_gp", "optimizer": {"adam": {"lr": rate}}} for rate in RATES},
    ),
}
for short, (said, rates) in WGAN_RATES.items():
    Claim(
        f"{short}_wants_a_lower_rate_than_dcgan",
        FAMILY,
        f"{said} wants a lower learning rate than DCGAN.",
        f"{SETTING}, each with its recipe's kind of optimizer; the rate of the least final FID "
        "among 2e-5, 6e-5, 2e-4, 6e-4 and 2e-3, seed by seed; none: a factor of 1.5, half the way "
        "to the next rate. A short training favours high rates, in both alike",
        ARJOVSKY,
        SWEEP,
        best_of(
            f"best learning rate of {short} over that of gan",
            FID,
            rates,
            DCGAN_RATES,
            claimed="below",
            margin=1.5,
        ),
    )

"""Claims on optimizers: momentum and Adam under weight clipping, and the rates that GANs want."""

from __future__ import annotations

from bench.claims.claim import Claim
from bench.claims.contrasts import best_of, least_of, paired
from bench.claims.measures import jitter, last, late
from bench.claims.observations import Where

FAMILY = "optimizers"
SWEEP = "claims_optimizers"
ARJOVSKY = "Arjovsky et al. 2017 (WGAN), arXiv:1701.07875"
RATES = (2e-5, 6e-5, 2e-4, 6e-4, 2e-3)
SETTING = "digits, dcgan of width 32, 1,000 steps; all but the optimizer as the recipe has it"
FID = last("fid")


def clipped(optimizer: str, **settings: float) -> Where:
    """A clipped WGAN with this optimizer in both networks."""
    return {"recipe": "wgan", "optimizer": {optimizer: settings}}


# Momentum .9 adds up to ten times the step, so that it is tried at rates ten times as low.
PLAIN_RATES, MOMENTUM_RATES = (6e-5, 2e-4, 6e-4, 2e-3), (6e-6, 2e-5, 6e-5, 2e-4)
ADAM_RATES = (6e-5, 2e-4, 6e-4)

Claim(
    "momentum_in_adam_hurts_clipped_wgan",
    FAMILY,
    "Adam's momentum hurts the clipped WGAN, also at the rate that suits it best.",
    f"{SETTING}; Adam with beta1 .9 against 0 (beta2 .999), each at the best of the rates 6e-5, "
    "2e-4 and 6e-4, seed by seed; final FID; none: 10 %",
    ARJOVSKY,
    SWEEP,
    least_of(
        "least final FID of a clipped WGAN under Adam with beta1 .9 over that with 0",
        FID,
        [clipped("adam", lr=rate, beta1=0.9) for rate in ADAM_RATES],
        [clipped("adam", lr=rate, beta1=0.0) for rate in ADAM_RATES],
        claimed="above",
        margin=1.1,
    ),
)
Claim(
    "momentum_in_rmsprop_hurts_clipped_wgan",
    FAMILY,
    "RMSprop's momentum hurts the clipped WGAN, also at the rate that suits it best.",
    f"{SETTING}; RMSprop with momentum .9, at the best of 6e-6, 2e-5, 6e-5 and 2e-4, against none, "
    "at the best of ten times these, seed by seed; final FID; none: 10 %",
    ARJOVSKY,
    SWEEP,
    least_of(
        "least final FID of a clipped WGAN under RMSprop with momentum over that without",
        FID,
        [clipped("rmsprop", lr=rate, momentum=0.9) for rate in MOMENTUM_RATES],
        [clipped("rmsprop", lr=rate, momentum=0.0) for rate in PLAIN_RATES],
        claimed="above",
        margin=1.1,
    ),
)
Claim(
    "rmsprop_is_steadier_than_adam_under_clipping",
    FAMILY,
    "Under weight clipping RMSprop trains more steadily than Adam.",
    f"{SETTING}; RMSprop against Adam with DCGAN's betas, both at 2e-4; median second difference "
    "of log FID from evaluation to evaluation, last half; none: 10 %",
    ARJOVSKY,
    SWEEP,
    paired(
        "jitter of a clipped WGAN's FID under RMSprop over that under Adam",
        late("fid", jitter),
        clipped("rmsprop", lr=2e-4, momentum=0.0),
        clipped("adam", lr=2e-4, beta1=0.5),
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

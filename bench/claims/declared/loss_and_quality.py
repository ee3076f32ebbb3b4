"""Claims on loss and quality: whose critic's loss tracks FID, and what takes that from it.

Tracking is judged as everywhere here (STATISTICS sections 1 to 3): the rank correlation of estimate
and FID within a run, beyond a common trend over time, and the seed swap.
"""

from __future__ import annotations

from bench.claims.beyond_time import does_not_track, tracks
from bench.claims.claim import Claim
from bench.claims.contrasts import all_of, in_run, paired, trend
from bench.claims.measures import overfitting, tracking
from bench.claims.observations import Where

FAMILY = "loss_and_quality"
SWEEP = "claims_loss_and_quality"
ARJOVSKY = "Arjovsky et al. 2017 (WGAN), arXiv:1701.07875"
GULRAJANI = "Gulrajani et al. 2017 (WGAN-GP), arXiv:1704.00028"
OVERFITS = GULRAJANI + ", section 5.6"

ALL, FEW = {"digits": {"images": 0}}, {"digits": {"images": 40}}
SETTING = (
    "digits, dcgan of width 32, 1,300 steps, recipes at their papers' rates; held-out estimate and "
    "FID at 26 evaluations"
)
BEYOND_TIME = "; correlation beyond time"
HELD_OUT, TRAINING = tracking("fid"), tracking("fid", "estimate")

CLIPPED: Where = {
    "recipe": "wgan",
    "dataset": ALL,
    "critic_steps": 5,
    "optimizer": {"rmsprop": {"momentum": 0.0}},
}
PENALISED: Where = {
    "recipe": "wgan_gp",
    "dataset": ALL,
    "critic_steps": 5,
    "optimizer": {"adam": {"beta1": 0.0}},
}
STANDARD: Where = {"recipe": "gan"}
OVERFITTED: Where = {**PENALISED, "dataset": FEW}
CRITIC_STEPS = (1, 5, 15)
WGANS = {
    "clipped_wgan": ("the clipped WGAN", CLIPPED, ARJOVSKY),
    "wgan_gp": ("the WGAN with gradient penalty", PENALISED, GULRAJANI),
}
MOMENTUM: dict[str, tuple[str, Where]] = {
    "clipped_wgan": (
        "RMSprop's momentum .9 at a tenth of the rate, so that its steps add up to as much",
        {**CLIPPED, "optimizer": {"rmsprop": {"momentum": 0.9}}},
    ),
    "wgan_gp": (
        "Adam's beta1 .9 against 0",
        {**PENALISED, "optimizer": {"adam": {"beta1": 0.9}}},
    ),
}

for short, (said, where, source) in WGANS.items():
    Claim(
        f"{short}_loss_tracks_fid",
        FAMILY,
        f"The critic's loss of {said} tracks FID.",
        f"{SETTING}{BEYOND_TIME} and the seed swap; none: a correlation within .2",
        source,
        SWEEP,
        tracks(f"correlation of {short}'s estimate with FID", where, "fid"),
    )
    Claim(
        f"{short}_loss_tracks_fid_better_than_the_standard_gans",
        FAMILY,
        f"The critic's loss of {said} tracks FID better than that of the standard GAN.",
        f"{SETTING}{BEYOND_TIME}, the difference on Fisher's scale; none: .2",
        source,
        SWEEP,
        paired(
            f"correlation with FID of {short}'s estimate less that of gan's",
            HELD_OUT,
            where,
            STANDARD,
            claimed="above",
            margin=0.2,
            scale="correlation",
            large_is_bad=False,
        ),
    )

Claim(
    "standard_gan_loss_does_not_track_fid",
    FAMILY,
    "The discriminator's loss of the standard GAN does not track FID.",
    f"{SETTING}{BEYOND_TIME}: below .2, be it that it says nothing or that it misleads; none: .01",
    ARJOVSKY,
    SWEEP,
    does_not_track("correlation of gan's estimate with FID", STANDARD, "fid"),
)
Claim(
    "loss_tracks_quality",
    FAMILY,
    "The WGAN loss tracks FID, by weight clipping and by the gradient penalty, and the standard "
    "GAN's does not.",
    f"{SETTING}{BEYOND_TIME} and the seed swap; none: .2, and .01 about .2 for the standard GAN",
    f"{ARJOVSKY}; {OVERFITS}",
    SWEEP,
    all_of(
        tracks("correlation of the clipped WGAN's estimate with FID", CLIPPED, "fid"),
        tracks("correlation of WGAN-GP's estimate with FID", PENALISED, "fid"),
        does_not_track("correlation of the standard GAN's estimate with FID", STANDARD, "fid"),
    ),
)
FEW_SAID = "digits, 40 of 1,437 training images, FID against all; else as the other claims here: "
Claim(
    "few_images_overfit_the_critic",
    FAMILY,
    "A critic that is trained on few images overfits: it scores them above unseen ones.",
    f"{FEW_SAID}wgan_gp; training less held-out estimate over the scores' standard deviation, mean "
    "of the last half, against the same on all images; none: .05",
    OVERFITS,
    SWEEP,
    paired(
        "excess of the training estimate on few images less that on all",
        overfitting,
        OVERFITTED,
        PENALISED,
        claimed="above",
        margin=0.05,
        scale="difference",
    ),
)
Claim(
    "overfitted_critic_loses_tracking_on_training_data",
    FAMILY,
    "With an overfitted critic the training estimate no longer tracks FID as it does on all "
    "images, nor as the held-out estimate does.",
    f"{FEW_SAID}wgan_gp{BEYOND_TIME}, differences on Fisher's scale; none: .2",
    OVERFITS,
    SWEEP,
    all_of(
        paired(
            "correlation with FID of the training estimate on few images less that on all",
            TRAINING,
            OVERFITTED,
            PENALISED,
            claimed="below",
            margin=0.2,
            scale="correlation",
            large_is_bad=False,
        ),
        in_run(
            "correlation with FID of the training estimate less that of the held-out one",
            TRAINING,
            HELD_OUT,
            OVERFITTED,
            claimed="below",
            margin=0.2,
            scale="correlation",
        ),
    ),
)
Claim(
    "held_out_estimate_tracks_fid_with_an_overfitted_critic",
    FAMILY,
    "With an overfitted critic the held-out estimate still tracks FID.",
    f"{FEW_SAID}wgan_gp{BEYOND_TIME} and the seed swap; none: .2",
    OVERFITS,
    SWEEP,
    tracks("correlation of the held-out estimate with FID on few images", OVERFITTED, "fid"),
)

for short, (said, where, _) in WGANS.items():
    Claim(
        f"more_critic_steps_make_{short}_track_better",
        FAMILY,
        f"The nearer the critic is to its optimum by more steps, the better the loss of {said} "
        "tracks FID.",
        f"{SETTING}; 1, 5 and 15 critic steps at equal generator steps{BEYOND_TIME}; the rank "
        "correlation of that with the number of steps, seed by seed; none: .2",
        ARJOVSKY,
        SWEEP,
        trend(
            f"trend of the correlation with FID over critic steps, {short}",
            HELD_OUT,
            [{**where, "critic_steps": count} for count in CRITIC_STEPS],
            claimed="above",
            large_is_bad=False,
        ),
    )
    kind, other = MOMENTUM[short]
    Claim(
        f"momentum_makes_{short}_track_worse",
        FAMILY,
        f"With momentum the loss of {said} tracks FID worse.",
        f"{SETTING}; {kind}, in both networks{BEYOND_TIME}, the difference on Fisher's scale; "
        "none: .2",
        ARJOVSKY,
        SWEEP,
        paired(
            f"correlation with FID with momentum less that without, {short}",
            HELD_OUT,
            other,
            where,
            claimed="below",
            margin=0.2,
            scale="correlation",
            large_is_bad=False,
        ),
    )

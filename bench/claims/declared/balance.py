"""Claims on the balance of the networks: how many critic updates a generator update needs."""

from __future__ import annotations

from bench.claims.claim import Claim, Test
from bench.claims.contrasts import all_of, paired, trend
from bench.claims.measures import last
from bench.claims.observations import Where

FAMILY = "balance"
EQUAL_STEPS, EQUAL_COST = "claims_balance", "claims_balance_cost"
ARJOVSKY = "Arjovsky et al. 2017 (WGAN), arXiv:1701.07875"
GULRAJANI = "Gulrajani et al. 2017 (WGAN-GP), arXiv:1704.00028"
PERFECT = "Arjovsky and Bottou 2017, arXiv:1701.04862"
COUNTS = (1, 5, 25, 100)
FAR = (1, 25)  # what 3 and 5 are held against
FID = last("fid")
SETTING = (
    "digits, dcgan of width 32, recipes at their papers' rates, 300 generator steps with 1, 5, 25 "
    "and 100 critic updates before each: equal steps of the generator, at unequal cost; "
)
WGANS = {
    "clipped_wgan": ("a clipped WGAN", "wgan", ARJOVSKY),
    "wgan_gp": ("a WGAN with gradient penalty", "wgan_gp", GULRAJANI),
}


def over_counts(effect: str, column: str, recipe: str, *, rises: bool) -> Test:
    """Whether a figure at the end rises or falls with the number of critic updates."""
    along: list[Where] = [{"recipe": recipe, "critic_steps": count} for count in COUNTS]
    return trend(
        effect,
        last(column),
        along,
        claimed="above" if rises else "below",
        large_is_bad=column == "fid",
    )


for short, (said, recipe, source) in WGANS.items():
    Claim(
        f"more_critic_steps_help_{short}",
        FAMILY,
        f"More critic updates per generator update help {said}.",
        f"{SETTING}the rank correlation of the final FID with their number, seed by seed; none: .2",
        source,
        EQUAL_STEPS,
        over_counts(
            f"trend of {recipe}'s final FID over critic updates", "fid", recipe, rises=False
        ),
    )
Claim(
    "more_critic_steps_starve_the_standard_gan",
    FAMILY,
    "More discriminator updates per generator update starve the non-saturating GAN.",
    f"{SETTING}the rank correlation of the final FID with their number, seed by seed; none: .2",
    PERFECT,
    EQUAL_STEPS,
    over_counts("trend of gan's final FID over critic updates", "fid", "gan", rises=True),
)
Claim(
    "more_critic_steps_starve_the_minimax_gan",
    FAMILY,
    "More discriminator updates per generator update starve the minimax GAN: its gradient shrinks "
    "and its samples get worse.",
    f"{SETTING}the rank correlations of the final FID and of the last gradient at the fakes with "
    "their number, seed by seed; none: .2",
    PERFECT,
    EQUAL_STEPS,
    all_of(
        over_counts(
            "trend of minimax_gan's final FID over critic updates", "fid", "minimax_gan", rises=True
        ),
        over_counts(
            "trend of minimax_gan's gradient at the fakes over critic updates",
            "fake_gradient_norm",
            "minimax_gan",
            rises=False,
        ),
    ),
)
for short, (said, recipe, source) in WGANS.items():
    Claim(
        f"three_to_five_critic_steps_are_best_for_{short}",
        FAMILY,
        f"Three to five critic updates per generator update are best for {said}.",
        "digits, dcgan of width 32, recipes at their papers' rates; equal cost: 6,000 updates of "
        "both networks together; 3 and 5 critic updates each against 1 and against 25, where most "
        "of them go to one network; final FID; none: 10 %",
        source,
        EQUAL_COST,
        all_of(
            *(
                paired(
                    f"final FID of {recipe} with {few} critic updates over that with {far}",
                    FID,
                    {"recipe": recipe, "critic_steps": few},
                    {"recipe": recipe, "critic_steps": far},
                    claimed="below",
                    margin=1.1,
                )
                for few in (3, 5)
                for far in FAR
            )
        ),
    )

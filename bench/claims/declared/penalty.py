"""Claims about the gradient penalty: against clipping, its cost, batch norm, one side or two.

And how sensitive it is to settings beside the standard GAN, claimed both ways.
"""

from bench.claims.claim import Claim
from bench.claims.contrasts import all_of, paired, single, spread_over
from bench.claims.critic_measures import layer_ratio, wrong_sign
from bench.claims.evidence import Claimed
from bench.claims.measures import at_step, last, seconds_per_step

DIGITS = "digits, dcgan of width 16, 2,000 steps at the recipes' own settings"
PENALISED = {"recipe": "wgan_gp", "lipschitz": "gradient_penalty", "critic_norm": "none"}
CLIPPED = {"recipe": "wgan", "lipschitz": "weight_clipping"}
STEP = (
    "one critic of dcgan, width 32, on digits in batches of 64, one CPU thread; against weight "
    "clipping; less than 10 % counts as none"
)
ROBUST = (
    "final FID on digits after 2,000 steps, each recipe about its own settings (dcgan of width 16, "
    "batches of 64, its published rate); how widely log FID spreads; a ratio of spreads within "
    "1.1 counts as none"
)
STANDARD = {"dcgan": {"width": 16, "generator_norm": "batch", "generator_kind": "convolutional"}}
RATES = {"gan": (5e-5, 2e-4, 8e-4), "wgan_gp": (2.5e-5, 1e-4, 4e-4)}


def on_masses(theta: float, sides: str) -> dict[str, object]:
    """The critics on two point masses."""
    return {
        "dataset": {"point_mass": {"theta": theta}},
        "lipschitz": {"gradient_penalty": {"sides": sides}},
    }


def along(recipe: str, axis: str) -> list[dict[str, object]]:
    """The settings along one axis, all else at the recipe's centre."""
    centre: dict[str, object] = {
        "recipe": recipe,
        "network": STANDARD,
        "batch_size": 64,
        "optimizer": {"adam": {"lr": RATES[recipe][1]}},
    }
    settings: dict[str, list[dict[str, object]]] = {
        "rate": [{"optimizer": {"adam": {"lr": rate}}} for rate in RATES[recipe]],
        "batch": [{"batch_size": size} for size in (16, 64, 128)],
        "architecture": [
            {"network": STANDARD},
            {"network": {"dcgan": {"generator_norm": "none"}}},
            {"network": {"dcgan": {"generator_kind": "mlp"}}},
            {"network": "mlp"},
        ],
    }
    return [centre | other for other in settings[axis]]


Claim(
    name="penalty_beats_clipping",
    family="penalty",
    sentence="A WGAN with gradient penalty reaches a lower FID than one with clipped weights.",
    scope=f"{DIGITS}; clipping both without critic norm, as the penalty has, and with batch norm, "
    "as published; 10 % count as none",
    source="Gulrajani et al. 2017, arXiv:1704.00028, section 5; the opposite order for the clipped "
    "standard GAN of Miyato et al. 2018 is close (42.6 against 40.2, Table 2)",
    sweep="claims_penalty_digits",
    test=all_of(
        *(
            paired(
                f"final FID, penalty over clipping with critic norm {norm}",
                last("fid"),
                PENALISED,
                CLIPPED | {"critic_norm": norm},
                claimed="below",
                margin=1.1,
            )
            for norm in ("none", "batch")
        )
    ),
)

Claim(
    name="penalty_costs_more",
    family="penalty",
    sentence="The gradient penalty costs more time and memory than clipping.",
    scope=f"{STEP}; time: training seconds a generator step of 5 critic updates",
    source="a received claim: the penalty differentiates twice (Gulrajani et al. 2017, "
    "arXiv:1704.00028, Algorithm 1)",
    sweep="claims_step_cost",
    test=all_of(
        *(
            paired(
                f"{said} under the penalty over that under clipping",
                measure,
                {"lipschitz": "gradient_penalty"},
                {"lipschitz": "weight_clipping"},
                claimed="above",
                margin=1.1,
            )
            for said, measure in (
                ("training seconds", seconds_per_step),
                ("arithmetic of a critic step", at_step("critic_step_flops", 0)),
                ("memory of a critic step", at_step("critic_step_bytes", 0)),
            )
        )
    ),
)

Claim(
    name="batch_norm_harms_penalty",
    family="penalty",
    sentence="Batch norm in the critic harms a WGAN with gradient penalty.",
    scope=f"{DIGITS}; final FID; 10 % count as none",
    source="Gulrajani et al. 2017, arXiv:1704.00028, section 4",
    sweep="claims_penalty_digits",
    test=paired(
        "final FID with batch norm over that without",
        last("fid"),
        PENALISED | {"critic_norm": "batch"},
        PENALISED,
        claimed="above",
        margin=1.1,
    ),
)

Claim(
    name="one_side_equals_two_in_quality",
    family="penalty",
    sentence="The one-sided penalty gives the same quality as the two-sided one.",
    scope=f"{DIGITS}, weight 10; equal: final FID within a factor of 1.1",
    source="Gulrajani et al. 2017, arXiv:1704.00028, section 4, which leaves it open; Petzka et "
    "al. 2018, arXiv:1709.08894, argue for one side",
    sweep="claims_penalty_digits",
    test=paired(
        "final FID, one side over two",
        last("fid"),
        {"recipe": "wgan_lp"},
        PENALISED,
        claimed="within",
        margin=1.1,
    ),
)

Claim(
    name="one_side_equals_two_in_sign",
    family="penalty",
    sentence="The one-sided penalty leaves a critic with the wrong sign as often as the two-sided "
    "one.",
    scope="two point masses at theta = -3 and 2, frozen; mlp of 3 layers of 64 units, 1,500 critic "
    "updates of Adam at 1e-4 falling to 0, weight 10; wrong: the held-out estimate ends below 0; "
    "as often: within a difference of .1",
    source="Gulrajani et al. 2017, arXiv:1704.00028, section 4, which leaves it open",
    sweep="claims_point_mass",
    test=all_of(
        *(
            paired(
                f"share of critics of wrong sign at theta = {theta}, two sides less one",
                wrong_sign,
                on_masses(theta, "two"),
                on_masses(theta, "one"),
                claimed="within",
                margin=0.1,
                scale="difference",
            )
            for theta in (-3, 2)
        )
    ),
)

Claim(
    name="penalty_keeps_layer_gradients",
    family="penalty",
    sentence="Under the gradient penalty the gradient neither explodes nor vanishes from layer to "
    "layer of a deep critic.",
    scope="Swiss roll, mlp of 12 hidden layers of 64 units, weight .1 (the value of the authors' "
    "code for toys), Adam 1e-4, 600 steps of 5 critic updates; neither: the norms at the first and "
    "last layer lie within a factor of 10",
    source="Gulrajani et al. 2017, arXiv:1704.00028, figure 1(b)",
    sweep="claims_layers",
    test=single(
        "gradient norm at the first layer over that at the last",
        layer_ratio,
        {"lipschitz": "gradient_penalty"},
        claimed="within",
        margin=10,
        scale="ratio",
    ),
)


AXES = {
    "rate": ("learning rate", "a quarter, one and four times the published rate"),
    "batch": ("batch size", "batches of 16, 64 and 128"),
    "architecture": (
        "architecture",
        "dcgan, dcgan without the generator's batch norm, dcgan with a dense generator, mlp",
    ),
}
SIDES: dict[str, tuple[Claimed, str]] = {"less": ("below", "less"), "more": ("above", "more")}
SOURCES = {
    "less": "Gulrajani et al. 2017, arXiv:1704.00028, section 5.1 (200 random architectures)",
    "more": "Miyato et al. 2018, arXiv:1802.05957, settings D to F of Table 1, at which WGAN-GP "
    "fails; Lucic et al. 2018, with whose search no loss is consistently better",
}
for axis, (spoken, values) in AXES.items():
    for side, (claimed, word) in SIDES.items():
        Claim(
            name=f"penalty_is_{side}_sensitive_to_{axis}",
            family="penalty",
            sentence=f"A WGAN with gradient penalty is {word} sensitive to the {spoken} than the "
            "standard GAN.",
            scope=f"{ROBUST}; {values}",
            source=SOURCES[side],
            sweep="claims_robustness",
            test=spread_over(
                f"spread of log FID over the {spoken}, penalty over standard GAN",
                last("fid"),
                along("wgan_gp", axis),
                along("gan", axis),
                claimed=claimed,
                margin=1.1,
            ),
        )

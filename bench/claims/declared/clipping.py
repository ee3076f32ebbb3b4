"""Claims about weight clipping: heaps at the limit, starved or exploding layers, the best limit.

What a clipped critic can fit, and how fast a clipped WGAN learns.
"""

from statistics import median

from bench.claims.claim import Claim
from bench.claims.contrasts import all_of, best_of, interaction, single
from bench.claims.contrasts_speed import slower
from bench.claims.critic_measures import known_share, layer_ratio, minus
from bench.claims.measures import at_step, last, late

CLIPPED_DIGITS = {"lipschitz": {"weight_clipping": {"limit": 0.01}}, "critic_norm": "none"}
PENALISED_DIGITS = {"lipschitz": "gradient_penalty", "recipe": "wgan_gp", "critic_norm": "none"}
UNIFORM = 5 / 9  # Sarle's coefficient of a uniform distribution: above it lie two heaps
LIMITS = (0.001, 0.003, 0.01, 0.03, 0.1)

DIGITS = (
    "digits, dcgan of width 16 without critic norm, 2,000 steps at the recipes' own settings "
    "(c = .01, N(0, .02) initial weights)"
)
DEEP = (
    "Swiss roll, mlp of 12 hidden layers of 64 units, He's initial weights, RMSprop 5e-5, "
    "600 steps of 5 critic updates"
)
PAIRS = (
    "critics alone, trained 1,200 updates against frozen pairs in 2-D; mlp of 3 layers of 64 "
    "units; RMSprop 5e-4 falling to 0"
)


def clipped(limit: float, **others: object) -> dict[str, object]:
    """The runs under one clipping limit."""
    return {"lipschitz": {"weight_clipping": {"limit": limit}}, **others}


Claim(
    name="clipping_saturates_weights",
    family="clipping",
    sentence="Clipped weights end in two heaps at +-c; weights under the gradient penalty do not.",
    scope=f"{DIGITS}; two heaps: Sarle's bimodality above that of a uniform distribution, 5/9",
    source="Gulrajani et al. 2017, arXiv:1704.00028, section 3 and figure 1(b)",
    sweep="claims_penalty_digits",
    test=all_of(
        single(
            "bimodality of clipped weights",
            last("weight_bimodality"),
            CLIPPED_DIGITS | {"recipe": "wgan"},
            claimed="above",
            margin=0.02,
            against=UNIFORM,
        ),
        single(
            "bimodality of weights under the penalty",
            last("weight_bimodality"),
            PENALISED_DIGITS,
            claimed="below",
            margin=0.02,
            against=UNIFORM,
        ),
    ),
)

Claim(
    name="training_drives_weights_to_limit",
    family="clipping",
    sentence="It is training that drives weights to +-c: more stand there at its end than the "
    "first clipping of the initial weights puts there.",
    scope=f"{DIGITS}; a change of less than 5 percentage points counts as none",
    source="Gulrajani et al. 2017, arXiv:1704.00028, section 3 and figure 1(b), which does not "
    "tell the two apart",
    sweep="claims_penalty_digits",
    test=single(
        "share of weights at +-c at the end, less the share of initial weights at or beyond it",
        minus(last("weights_at_limit"), at_step("weights_at_limit", 0)),
        CLIPPED_DIGITS | {"recipe": "wgan"},
        claimed="above",
        margin=0.05,
    ),
)

Claim(
    name="large_limit_explodes",
    family="clipping",
    sentence="With a large clipping limit the gradient explodes on its way back through the "
    "critic's layers.",
    scope=f"{DEEP}; c = .1; explodes: more than tenfold from the last layer to the first",
    source="Gulrajani et al. 2017, arXiv:1704.00028, section 3.2 and figure 1(b)",
    sweep="claims_layers",
    test=single(
        "gradient norm at the first layer over that at the last, c = .1",
        layer_ratio,
        clipped(0.1),
        claimed="above",
        margin=1.5,
        scale="ratio",
        against=10,
    ),
)

Claim(
    name="small_limit_starves",
    family="clipping",
    sentence="With a small clipping limit the gradient vanishes on its way back through the "
    "critic's layers.",
    scope=f"{DEEP}; c = .01 and .001; vanishes: to less than a tenth from the last layer to the "
    "first",
    source="Gulrajani et al. 2017, arXiv:1704.00028, section 3.2 and figure 1(b)",
    sweep="claims_layers",
    test=all_of(
        *(
            single(
                f"gradient norm at the first layer over that at the last, c = {limit:g}",
                layer_ratio,
                clipped(limit),
                claimed="below",
                margin=1.5,
                scale="ratio",
                against=0.1,
                large_is_bad=False,
            )
            for limit in (0.01, 0.001)
        )
    ),
)

Claim(
    name="best_limit_depends_on_data",
    family="clipping",
    sentence="The clipping limit that gives the best samples depends on the data.",
    scope="grid25 against swiss_roll; mlp of 3 layers of 64 units, RMSprop 5e-5, 1,500 steps of 5 "
    "critic updates; limits .001 to .1 in steps of about 3; best: least median of exact W1 over "
    "the second half; a factor below 2 counts as none",
    source="Gulrajani et al. 2017, arXiv:1704.00028, section 3.2",
    sweep="claims_clipping_limit",
    test=best_of(
        "best limit on grid25 over that on swiss_roll",
        late("exact_w1", median),
        {limit: clipped(limit, dataset="grid25") for limit in LIMITS},
        {limit: clipped(limit, dataset="swiss_roll") for limit in LIMITS},
        claimed="apart",
        margin=2,
    ),
)

Claim(
    name="clipped_critics_fit_only_simple_functions",
    family="clipping",
    sentence="Clipping costs a critic more where the best critic is a complicated function than "
    "where it is linear.",
    scope=f"{PAIRS} (penalty: Adam 1e-3); the share of the exact W1 that the held-out estimate "
    "over the measured Lipschitz constant reads, on a shift (the best critic is linear) against a "
    "scaling and a ring of 8, and that against the same under the gradient penalty; constants from "
    "256 points and pairs of each kind and 50 ascent steps",
    source="Gulrajani et al. 2017, arXiv:1704.00028, section 3.1 and figure 1(a)",
    sweep="claims_exact_w1",
    test=all_of(
        *(
            interaction(
                f"how much more of W1 is read on the shift than on {dataset}, clipping over "
                "penalty",
                known_share("estimate_per_lipschitz"),
                (
                    clipped(0.01, dataset=dataset),
                    clipped(0.01, dataset="shifted_gaussians"),
                ),
                (
                    {"lipschitz": "gradient_penalty", "dataset": dataset},
                    {"lipschitz": "gradient_penalty", "dataset": "shifted_gaussians"},
                ),
                claimed="above",
                margin=1.1,
            )
            for dataset in ("scaled_gaussians", "noiseless_ring")
        )
    ),
)

Claim(
    name="clipping_slows_learning",
    family="clipping",
    sentence="A clipped WGAN takes more steps than one with gradient penalty to the same quality.",
    scope="digits, dcgan of width 16 without critic norm, both at their papers' settings (RMSprop "
    "5e-5 and c = .01; Adam 1e-4); steps until FID is half of that of the untrained generator, "
    "which clipping reaches as well, scored every 100 of 2,000 steps; less than 1.25 times as many "
    "count as equal",
    source="Arjovsky et al. 2017, arXiv:1701.07875, section 3; Gulrajani et al. 2017, "
    "arXiv:1704.00028, section 5",
    sweep="claims_penalty_digits",
    test=slower(
        "steps to half of the first FID, clipping over penalty",
        "fid",
        0.5,
        CLIPPED_DIGITS | {"recipe": "wgan"},
        PENALISED_DIGITS,
        claimed="above",
        margin=1.25,
    ),
)

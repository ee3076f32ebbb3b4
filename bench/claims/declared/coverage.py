"""Claims about modes: how many a WGAN covers, what falls between them, what few data cost."""

from bench.claims.claim import Claim
from bench.claims.contrasts import all_of, paired, single
from bench.claims.critic_measures import between_modes
from bench.claims.measures import last

GAN = "gan"
WGANS = {"wgan": "clipped WGAN", "wgan_gp": "WGAN with gradient penalty"}
TOYS = (
    "ring8 with modes of deviation .1, grid25 scaled to unit variance with modes of deviation "
    ".035; mlp of 3 layers of 64 units without critic norm, 5,000 steps of 1 (GAN) and 5 critic "
    "updates; Adam at 1e-3, clipping at .1 with RMSprop at 5e-4, penalty of weight .1; 250 "
    "samples, a mode being covered by one within 3 standard deviations (samples that are merely "
    "scattered cover half of the grid)"
)
STACKS = (
    "stacked_digits (8 x 8 pixels), dcgan of width 16, 4,000 steps at the recipes' own settings, "
    "10,000 samples put into 1,000 classes by digits_cnn"
)
FEW, BIAS = 100, 0.9

# Data set: its modes in words, the number that counts as none, scope, sweep, who measured so.
SETS = {
    "ring8": (
        "the 8 modes of a ring",
        0.5,
        TOYS,
        "claims_coverage_toys",
        "Metz et al. 2016, arXiv:1611.02163, section 3.1",
    ),
    "grid25": (
        "the 25 modes of a grid",
        1.0,
        TOYS,
        "claims_coverage_toys",
        "Lin et al. 2018 (PacGAN), arXiv:1712.04086, section 4.1",
    ),
    "stacked_digits": (
        "the 1,000 stacks of three digits",
        20.0,
        STACKS,
        "claims_coverage_stacked",
        "Metz et al. 2016, arXiv:1611.02163, section 3.3.1",
    ),
}

for dataset, (modes, none, scope, sweep, measured) in SETS.items():
    for recipe, spoken in WGANS.items():
        Claim(
            name=f"{recipe}_covers_more_of_{dataset}",
            family="coverage",
            sentence=f"A {spoken} covers more of {modes} than the standard GAN.",
            scope=f"{scope}; a difference of at most {none:g} in modes counts as none",
            source=f"Arjovsky et al. 2017, arXiv:1701.07875, section 4.3; measured as by "
            f"{measured}",
            sweep=sweep,
            test=paired(
                f"modes covered by {recipe} less those covered by {GAN}",
                last("modes_covered"),
                {"recipe": recipe, "dataset": dataset},
                {"recipe": GAN, "dataset": dataset},
                claimed="above",
                margin=none,
                scale="difference",
                large_is_bad=False,
            ),
        )

for recipe, spoken in WGANS.items():
    Claim(
        name=f"{recipe}_samples_fall_between_modes",
        family="coverage",
        sentence=f"Samples of a {spoken} fall between the modes.",
        scope=f"{TOYS}; more than 5 % of them, where a perfect generator has 1.1 %",
        source="a received claim without a paper of its own; measured as by Srivastava et al. 2017 "
        "(VEEGAN), arXiv:1705.07761, section 4.1",
        sweep="claims_coverage_toys",
        test=all_of(
            *(
                single(
                    f"share of samples between the modes of {dataset}",
                    between_modes,
                    {"recipe": recipe, "dataset": dataset},
                    claimed="above",
                    margin=0.01,
                    against=0.05,
                )
                for dataset in ("ring8", "grid25")
            )
        ),
    )
    Claim(
        name=f"{recipe}_leaves_more_between_modes",
        family="coverage",
        sentence=f"More samples of a {spoken} fall between the modes than of the standard GAN.",
        scope=f"{TOYS}; 5 percentage points count as none",
        source="a received claim without a paper of its own; measured as by Srivastava et al. 2017 "
        "(VEEGAN), arXiv:1705.07761, section 4.1",
        sweep="claims_coverage_toys",
        test=all_of(
            *(
                paired(
                    f"share of samples between the modes of {dataset}, {recipe} less {GAN}",
                    between_modes,
                    {"recipe": recipe, "dataset": dataset},
                    {"recipe": GAN, "dataset": dataset},
                    claimed="above",
                    margin=0.05,
                    scale="difference",
                )
                for dataset in ("ring8", "grid25")
            )
        ),
    )

DATA = (
    "digits (1,437 training images, scored against all of them), WGAN with gradient penalty, dcgan "
    "of width 16, 1,500 steps; recall and coverage at the end; 5 percentage points count as none"
)
PARTS = {
    "few": (
        "Few training images cost diversity",
        f"{FEW} of the training images",
        {"images": FEW, "bias": 0},
        "a received claim; that a critic learns few images by heart: Gulrajani et al. 2017, "
        "arXiv:1704.00028, section 5.6",
    ),
    "biased": (
        "Training images in which half of the classes are rare cost diversity",
        f"training images that lack {100 * BIAS:.0f} % of each of the classes 5 to 9",
        {"images": 0, "bias": BIAS},
        "a received claim without a paper of its own",
    ),
}
for name, (sentence, what, part, source) in PARTS.items():
    Claim(
        name=f"{name}_images_cost_diversity",
        family="coverage",
        sentence=f"{sentence}.",
        scope=f"{DATA}; {what} against all",
        source=source,
        sweep="claims_coverage_data",
        test=all_of(
            *(
                paired(
                    f"{column} with {what}, less that with all",
                    last(column),
                    {"dataset": {"digits": part}},
                    {"dataset": {"digits": {"images": 0, "bias": 0}}},
                    claimed="below",
                    margin=0.05,
                    scale="difference",
                    large_is_bad=False,
                )
                for column in ("recall", "coverage")
            )
        ),
    )

"""Recipes: loss, Lipschitz method, optimizer, critic steps and critic norm, as in the papers.

A recipe sets these five, and the generator's optimizer where its authors give it another rate;
whatever a sweep file says beside it overrides it. What else a paper does (schedules, moving
averages, augmentation, networks, batch sizes) is left out, so that recipes can be compared;
`reference` says so, and where the numbers stand.

The critic's normalisation is part of a recipe because it is part of the published method: without
DCGAN's batch norm in its critic the standard GAN collapses on digits, and with it WGAN-GP's
penalty, which is one of single samples, is not defined. `critic_norm: none` in a sweep's base makes
all equal.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from wgan.components import UnknownName


@dataclass(frozen=True)
class Recipe:
    """A named GAN; `settings` are plain values for `TrainConfig.from_plain`."""

    name: str
    title: str
    reference: str
    settings: dict[str, Any]


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "gan",
            "standard GAN, non-saturating",
            "Goodfellow et al. 2014, arXiv:1406.2661, section 3; "
            "optimizer, norm: Radford et al. 2015 (DCGAN), arXiv:1511.06434, sections 3, 4",
            {
                "loss": "nonsaturating",
                "lipschitz": "none",
                "optimizer": {"adam": {"lr": 2e-4, "beta1": 0.5, "beta2": 0.999}},
                "critic_steps": 1,
                "critic_norm": "batch",
            },
        ),
        Recipe(
            "minimax_gan",
            "standard GAN, minimax: the generator's loss saturates",
            "Goodfellow et al. 2014, arXiv:1406.2661, Algorithm 1; "
            "optimizer, norm: DCGAN's, as in gan",
            {
                "loss": "minimax",
                "lipschitz": "none",
                "optimizer": {"adam": {"lr": 2e-4, "beta1": 0.5, "beta2": 0.999}},
                "critic_steps": 1,
                "critic_norm": "batch",
            },
        ),
        Recipe(
            "lsgan",
            "least squares GAN",
            "Mao et al. 2016, arXiv:1611.04076, equation 9; optimizer, norm: the authors' code on "
            "DCGAN (xudonmao/LSGAN, stability_comparison/BN_G_ls_adam; lr 1e-3 in its train_lsun)",
            {
                "loss": "least_squares",
                "lipschitz": "none",
                "optimizer": {"adam": {"lr": 2e-4, "beta1": 0.5, "beta2": 0.999}},
                "critic_steps": 1,
                "critic_norm": "batch",
            },
        ),
        Recipe(
            "hinge_gan",
            "geometric GAN: hinge loss, no constraint",
            "Lim and Ye 2017, arXiv:1705.02894; optimizer, norm: the authors' code "
            "(lim0606/pytorch-geometric-gan, exp2, exp3), less its 10 generator updates per critic "
            "update and the weight decay of its critic's last layer",
            {
                "loss": "hinge",
                "lipschitz": "none",
                "optimizer": {"rmsprop": {"lr": 2e-4}},
                "critic_steps": 1,
                "critic_norm": "batch",
            },
        ),
        Recipe(
            "wgan",
            "WGAN with weight clipping",
            "Arjovsky et al. 2017, arXiv:1701.07875, Algorithm 1; norm: DCGAN's, section 4.1",
            {
                "loss": "wasserstein",
                "lipschitz": {"weight_clipping": {"limit": 0.01}},
                "optimizer": {"rmsprop": {"lr": 5e-5}},
                "critic_steps": 5,
                "critic_norm": "batch",
            },
        ),
        Recipe(
            "wgan_gp",
            "WGAN with gradient penalty",
            "Gulrajani et al. 2017, arXiv:1704.00028, Algorithm 1",
            {
                "loss": "wasserstein",
                "lipschitz": {"gradient_penalty": {"weight": 10.0, "target": 1.0, "sides": "two"}},
                "optimizer": {"adam": {"lr": 1e-4, "beta1": 0.0, "beta2": 0.9}},
                "critic_steps": 5,
                "critic_norm": "none",
            },
        ),
        Recipe(
            "wgan_lp",
            "WGAN with one-sided gradient penalty",
            "Petzka et al. 2018, arXiv:1709.08894, equation 8; all else as in wgan_gp "
            "(a reproduction of their toy experiments: RMSprop 5e-5, 10 critic updates, weight 5)",
            {
                "loss": "wasserstein",
                "lipschitz": {"gradient_penalty": {"weight": 10.0, "target": 1.0, "sides": "one"}},
                "optimizer": {"adam": {"lr": 1e-4, "beta1": 0.0, "beta2": 0.9}},
                "critic_steps": 5,
                "critic_norm": "none",
            },
        ),
        Recipe(
            "dragan",
            "standard GAN with gradient penalty around the data",
            "Kodali et al. 2017, arXiv:1705.07215; penalty, optimizer, norm: the authors' code "
            "(kodalinaveen3/DRAGAN)",
            {
                "loss": "nonsaturating",
                "lipschitz": {"dragan": {"weight": 10.0, "noise": "uniform", "scale": 0.5}},
                "optimizer": {"adam": {"lr": 1e-4, "beta1": 0.5, "beta2": 0.9}},
                "critic_steps": 1,
                "critic_norm": "none",
            },
        ),
        Recipe(
            "sngan",
            "standard GAN with spectral normalisation",
            "Miyato et al. 2018, arXiv:1802.05957, Algorithm 1; setting A of its Table 1",
            {
                "loss": "nonsaturating",
                "lipschitz": "spectral_norm",
                "optimizer": {"adam": {"lr": 1e-4, "beta1": 0.5, "beta2": 0.9}},
                "critic_steps": 5,
                "critic_norm": "none",
            },
        ),
        Recipe(
            "sngan_hinge",
            "hinge GAN with spectral normalisation",
            "Miyato et al. 2018, arXiv:1802.05957, equations 16, 17; setting A of its Table 1",
            {
                "loss": "hinge",
                "lipschitz": "spectral_norm",
                "optimizer": {"adam": {"lr": 1e-4, "beta1": 0.5, "beta2": 0.9}},
                "critic_steps": 5,
                "critic_norm": "none",
            },
        ),
        Recipe(
            "wgan_sn",
            "WGAN with spectral normalisation",
            "no paper's own: a pair that Kurach et al. 2018, arXiv:1807.04720, compare in their "
            "code (google/compare_gan); optimizer: as in sngan",
            {
                "loss": "wasserstein",
                "lipschitz": "spectral_norm",
                "optimizer": {"adam": {"lr": 1e-4, "beta1": 0.5, "beta2": 0.9}},
                "critic_steps": 5,
                "critic_norm": "none",
            },
        ),
        Recipe(
            "gan_gp",
            "standard GAN with gradient penalty",
            "Fedus et al. 2017, arXiv:1710.08446; Miyato et al. 2018, arXiv:1802.05957, Table 2 "
            "(GAN-GP); optimizer: setting A of the latter's Table 1, as in sngan",
            {
                "loss": "nonsaturating",
                "lipschitz": {"gradient_penalty": {"weight": 10.0, "target": 1.0, "sides": "two"}},
                "optimizer": {"adam": {"lr": 1e-4, "beta1": 0.5, "beta2": 0.9}},
                "critic_steps": 5,
                "critic_norm": "none",
            },
        ),
        Recipe(
            "r3gan",
            "relativistic GAN with zero-centred penalties on real and fake",
            "Huang et al. 2024, arXiv:2501.05441; optimizer, gamma: where its code's preset for "
            "FFHQ-64 begins (gamma .05 for CIFAR-10: too little on digits), less its schedules (lr "
            "to 5e-5, beta2 to .99, gamma to a tenth), moving average, augmentation and networks",
            {
                "loss": "relativistic",
                "lipschitz": {"all": [{"r1": {"weight": 2.0}}, {"r2": {"weight": 2.0}}]},
                "optimizer": {"adam": {"lr": 2e-4, "beta1": 0.0, "beta2": 0.9}},
                "critic_steps": 1,
                "critic_norm": "none",
            },
        ),
        Recipe(
            "gngan",
            "standard GAN with gradient normalisation",
            "Wu et al. 2021, arXiv:2109.02235; all else: the authors' code for plain CNNs "
            "(basiclab/GNGAN-PyTorch, GN-GAN_CIFAR10_CNN), less its moving average and its "
            "generator's batch of twice the size",
            {
                "loss": "nonsaturating",
                "lipschitz": "gradient_normalization",
                "optimizer": {"adam": {"lr": 2e-4, "beta1": 0.0, "beta2": 0.9}},
                "critic_steps": 1,
                "critic_norm": "none",
            },
        ),
        Recipe(
            "orthonormal_gan",
            "standard GAN with orthonormal critic weights",
            "Miyato et al. 2018, arXiv:1802.05957, Table 2 (orthonormal), where a penalty of "
            "unstated weight pulls to what holds exactly here; setting A of its Table 1",
            {
                "loss": "nonsaturating",
                "lipschitz": "orthonormal",
                "optimizer": {"adam": {"lr": 1e-4, "beta1": 0.5, "beta2": 0.9}},
                "critic_steps": 5,
                "critic_norm": "none",
            },
        ),
        Recipe(
            "lipschitz_wgan",
            "WGAN whose critic is 1-Lipschitz by construction",
            "Anil et al. 2019, arXiv:1811.05381; optimizers, critic steps: the authors' code "
            "(cemanil/LNets, LWGAN), whose convolutions have orthonormal kernels instead",
            {
                "loss": "wasserstein",
                "lipschitz": "lipschitz_network",
                "optimizer": {"adam": {"lr": 2e-3, "beta1": 0.5, "beta2": 0.999}},
                "generator_optimizer": {"adam": {"lr": 2e-4, "beta1": 0.5, "beta2": 0.999}},
                "critic_steps": 5,
                "critic_norm": "none",
            },
        ),
    )
}


def recipe_settings(name: object) -> dict[str, Any]:
    """The settings of the recipe `name`, a copy of one's own.

    Raises:
        UnknownName: there is no such recipe; names the nearest.
    """
    if not isinstance(name, str) or name not in RECIPES:
        raise UnknownName(("recipe",), "recipe", name, RECIPES)
    return copy.deepcopy(RECIPES[name].settings)

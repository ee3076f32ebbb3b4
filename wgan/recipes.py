"""Recipes: loss, Lipschitz method, optimizer, critic steps and critic norm, as in the papers.

A recipe sets these five and nothing else; whatever a sweep file says beside it overrides it. The
critic's normalisation is among them because it is part of the published method: without DCGAN's
batch norm in its critic the standard GAN collapses on digits, and with it WGAN-GP's penalty, which
is one of single samples, is not defined. `critic_norm: none` in a sweep's base makes all equal.
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

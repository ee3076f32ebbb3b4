"""The digits script: what one writes who has no harness. Four GANs over seeds, one after another.

Stock torch without a known waste, as the clean loop, with FID, KID, inception score, precision and
recall by `torch_fidelity.calculate_metrics` as its manual shows it in a training loop, in the
features of the same classifier; the real features are cached by torch-fidelity. It draws no figure
and makes no report. `python -m tests.speed.script STEPS EVERY SAMPLES SEEDS FOLDER`.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from tests.speed.loops import gradient_penalty
from tests.speed.networks import dcgan_critic, dcgan_generator
from wgan.data import Digits, Images
from wgan.data.torchvision_operators import declare_missing_operators

declare_missing_operators()

import torch_fidelity  # noqa: E402

WIDTH, BASE, BATCH_SIZE, NOISE_SIZE = 32, 2, 64, 64
CLIP = 0.01
RECIPES = ("gan", "wgan", "wgan_gp", "sngan")


class DigitsFeatures(torch_fidelity.FeatureExtractorBase):
    """The classifier of digits for torch-fidelity."""

    def __init__(self, name: str, features_list: list[str], **_: Any) -> None:
        super().__init__(name, features_list)
        from bench.evaluate.small_cnn import WEIGHTS, load_small_cnn

        self.network = load_small_cnn(WEIGHTS / "digits_cnn.safetensors", (1, 8, 8))

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return "features", "logits"

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return "logits" if metric == "isc" else "features"

    @staticmethod
    def can_be_compiled() -> bool:
        return False

    @staticmethod
    def get_dummy_input_for_compile() -> Tensor:
        return torch.zeros(1, 1, 8, 8, dtype=torch.uint8)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(("features", "logits"), self.network(images), strict=True))
        return tuple(given[name] for name in self.features_list)


class RealImages(torch.utils.data.Dataset):  # type: ignore[type-arg]
    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


class Pixels(nn.Module):
    """A generator whose images come as uint8, as torch-fidelity wants them."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, noise: Tensor) -> Tensor:
        return (self.generator(noise) * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)


def evaluate(generator: nn.Module, data: Images, samples: int, cache: Path) -> dict[str, float]:
    generator.eval()
    metrics: dict[str, float] = torch_fidelity.calculate_metrics(
        input1=torch_fidelity.GenerativeModelModuleWrapper(
            Pixels(generator), NOISE_SIZE, "normal", 0
        ),
        input1_model_num_samples=samples,
        input2=RealImages(data.train),
        input2_cache_name="digits_train",
        cache_root=str(cache),
        cuda=False,
        batch_size=500,
        feature_extractor="digits_cnn",
        fid=True,
        kid=True,
        isc=True,
        prc=True,
        kid_subset_size=100,
        verbose=False,
    )
    generator.train()
    return metrics


class Training:
    """One GAN: its networks, its optimizers, and the two updates."""

    def __init__(self, recipe: str, seed: int, images: Tensor) -> None:
        torch.manual_seed(seed)
        self.recipe, self.images = recipe, images
        self.generator = dcgan_generator((1, 8, 8), WIDTH, BASE, NOISE_SIZE)
        self.critic = dcgan_critic((1, 8, 8), WIDTH, BASE, norm=recipe in ("gan", "wgan"))
        for layer in (*self.generator.modules(), *self.critic.modules()):
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, 0, 0.02)
        if recipe == "sngan":
            for layer in self.critic:
                if isinstance(layer, nn.Linear | nn.Conv2d):
                    spectral_norm(layer)
        self.cross_entropy = recipe in ("gan", "sngan")
        self.critic_steps = 1 if recipe == "gan" else 5
        self.optimizers = [self._optimizer(net) for net in (self.critic, self.generator)]

    def _optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        if self.recipe == "wgan":
            return torch.optim.RMSprop(network.parameters(), lr=5e-5)
        rate, betas = {
            "gan": (2e-4, (0.5, 0.999)),
            "wgan_gp": (1e-4, (0.0, 0.9)),
            "sngan": (1e-4, (0.5, 0.9)),
        }[self.recipe]
        return torch.optim.Adam(network.parameters(), lr=rate, betas=betas)

    def step(self) -> tuple[Tensor, Tensor]:
        for _ in range(self.critic_steps):
            critic_loss = self._train_critic()
        return critic_loss, self._train_generator()

    def _train_critic(self) -> Tensor:
        real = self.images[torch.randint(len(self.images), (BATCH_SIZE,))]
        with torch.no_grad():
            fake = self.generator(torch.randn(BATCH_SIZE, NOISE_SIZE))
        real_scores, fake_scores = self.critic(real), self.critic(fake)
        if self.cross_entropy:
            loss = F.softplus(-real_scores).mean() + F.softplus(fake_scores).mean()
        else:
            loss = fake_scores.mean() - real_scores.mean()
        total = loss
        if self.recipe == "wgan_gp":
            mix = torch.rand(BATCH_SIZE, 1, 1, 1)
            total = loss + gradient_penalty(self.critic, real, fake, mix)
        self.optimizers[0].zero_grad()
        total.backward()
        self.optimizers[0].step()
        if self.recipe == "wgan":
            with torch.no_grad():
                for parameter in self.critic.parameters():
                    parameter.clamp_(-CLIP, CLIP)
        return loss.detach()

    def _train_generator(self) -> Tensor:
        for parameter in self.critic.parameters():
            parameter.requires_grad_(False)
        scores = self.critic(self.generator(torch.randn(BATCH_SIZE, NOISE_SIZE)))
        loss = F.softplus(-scores).mean() if self.cross_entropy else -scores.mean()
        self.optimizers[1].zero_grad()
        loss.backward()
        self.optimizers[1].step()
        for parameter in self.critic.parameters():
            parameter.requires_grad_(True)
        return loss.detach()


def main() -> None:
    steps, every, samples, seeds = map(int, sys.argv[1:5])
    folder = Path(sys.argv[5])
    torch_fidelity.register_feature_extractor("digits_cnn", DigitsFeatures)
    data = Digits().load()
    images = data.train.float() / 127.5 - 1
    rows = []
    for recipe in RECIPES:
        for seed in range(seeds):
            training = Training(recipe, seed, images)
            losses: tuple[Any, ...] = (None, None)
            for step in range(steps + 1):
                if step % every == 0:
                    scores = evaluate(training.generator, data, samples, folder / "cache")
                    read = [None if loss is None else loss.item() for loss in losses]
                    rows.append([recipe, seed, step, *read, *scores.values()])
                if step < steps:
                    losses = training.step()
    with (folder / "scores.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


if __name__ == "__main__":
    main()

"""The rivals in training: WGAN-GP as a competent user writes it, and as tutorials do.

Both train the very model that we train, which a test proves: equal losses in float64 over 50
steps. They differ in what they waste, and each says what that is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from PIL import Image
from torch import Tensor, nn

PENALTY_WEIGHT = 10.0
ADAM = {"lr": 1e-4, "betas": (0.0, 0.9)}


class CleanLoop:
    """Gulrajani et al. 2017, Algorithm 1, in stock torch without a known waste.

    No generator's graph in the critic's step, no critic gradients in the generator's, data in
    memory, torch.optim.Adam as it comes, nothing read off a tensor.

    Args:
        draw: gives a batch of reals.
        noise, mixing: streams of the noise and of the penalty's points.
    """

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        draw: Callable[[], Tensor],
        noise: torch.Generator,
        mixing: torch.Generator,
        *,
        batch_size: int,
        noise_size: int,
        critic_steps: int = 5,
    ) -> None:
        self.generator, self.critic, self.draw = generator, critic, draw
        self.noise, self.mixing = noise, mixing
        self.batch_size, self.noise_size = batch_size, noise_size
        self.critic_steps = critic_steps
        self.dtype = next(critic.parameters()).dtype
        self.critic_adam = torch.optim.Adam(critic.parameters(), **ADAM)
        self.generator_adam = torch.optim.Adam(generator.parameters(), **ADAM)
        self.critic_losses: list[Tensor] = []
        self.generator_losses: list[Tensor] = []

    def run(self, steps: int) -> None:
        """So many updates of the generator, each after `critic_steps` of the critic."""
        self.critic_losses, self.generator_losses = [], []
        for _ in range(steps):
            for _ in range(self.critic_steps):
                self.critic_losses.append(self._train_critic())
            self.generator_losses.append(self._train_generator())

    def _train_critic(self) -> Tensor:
        real = self.draw()
        with torch.no_grad():
            fake = self.generator(self._z())
        real_scores, fake_scores = self.critic(real), self.critic(fake)
        loss = fake_scores.mean() - real_scores.mean()
        self.critic_adam.zero_grad()
        (loss + gradient_penalty(self.critic, real, fake, self._mix(real))).backward()
        self.critic_adam.step()
        return loss.detach()

    def _train_generator(self) -> Tensor:
        for parameter in self.critic.parameters():
            parameter.requires_grad_(False)
        loss = -self.critic(self.generator(self._z())).mean()
        self.generator_adam.zero_grad()
        loss.backward()
        self.generator_adam.step()
        for parameter in self.critic.parameters():
            parameter.requires_grad_(True)
        return loss.detach()

    def _z(self) -> Tensor:
        return torch.randn(self.batch_size, self.noise_size, generator=self.noise, dtype=self.dtype)

    def _mix(self, real: Tensor) -> Tensor:
        drawn = torch.rand(len(real), generator=self.mixing, dtype=self.dtype)
        return drawn.view(-1, *[1] * (real.dim() - 1))


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    points = (mix * real + (1 - mix) * fake).detach().requires_grad_()
    (slopes,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    return PENALTY_WEIGHT * (slopes.flatten(1).norm(2, dim=1) - 1).square().mean()


def drawn_from(images: Tensor, batch_size: int, rng: torch.Generator) -> Callable[[], Tensor]:
    """Batches with replacement from float images that lie in memory."""
    return lambda: images[torch.randint(len(images), (batch_size,), generator=rng)]


class TutorialLoop(CleanLoop):
    """The same as the common tutorials have it: eriklindernoren/PyTorch-GAN, implementations/
    wgan_gp, and its many descendants.

    The fakes of the critic's step carry the generator's graph, backward fills the critic's
    gradients in the generator's step too, the grad_outputs are made as ones and the graph is
    retained, each image comes as PIL through ToTensor and Normalize in a DataLoader without
    workers, and both losses are read off for the log at every step.
    """

    def _train_critic(self) -> Tensor:
        real = self.draw()
        self.critic_adam.zero_grad()
        fake = self.generator(self._z())
        real_validity, fake_validity = self.critic(real), self.critic(fake)
        penalty = tutorial_penalty(self.critic, real.data, fake.data, self._mix(real))
        loss = -torch.mean(real_validity) + torch.mean(fake_validity) + penalty
        loss.backward()
        self.critic_adam.step()
        self.logged = loss.item()
        return (loss - penalty).detach()

    def _train_generator(self) -> Tensor:
        self.generator_adam.zero_grad()
        loss = -torch.mean(self.critic(self.generator(self._z())))
        loss.backward()
        self.generator_adam.step()
        self.logged = loss.item()
        return loss.detach()


def tutorial_penalty(critic: nn.Module, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    interpolates = (mix * real + ((1 - mix) * fake)).requires_grad_(True)
    validity = critic(interpolates)
    (gradients,) = torch.autograd.grad(
        outputs=validity,
        inputs=interpolates,
        grad_outputs=torch.ones_like(validity),
        create_graph=True,
        retain_graph=True,
        only_inputs=True,
    )
    gradients = gradients.view(gradients.size(0), -1)
    return PENALTY_WEIGHT * ((gradients.norm(2, dim=1) - 1) ** 2).mean()


class TutorialImages(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """uint8 images (N, C, H, W) as torchvision's CIFAR10 gives them: an array, a PIL image, then
    the transforms, item by item.
    """

    def __init__(self, images: Tensor) -> None:
        from wgan.data.torchvision_operators import declare_missing_operators

        declare_missing_operators()
        from torchvision import transforms

        channels = images.shape[1]
        self.data = images.permute(0, 2, 3, 1).contiguous().numpy()
        self.transform = transforms.Compose(
            [
                transforms.ToTensor(),
                transforms.Normalize((0.5,) * channels, (0.5,) * channels),
            ]
        )

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Tensor:
        image: Tensor = self.transform(Image.fromarray(self.data[index].squeeze()))
        return image


class WithReplacement(torch.utils.data.Sampler):  # type: ignore[type-arg]
    """Endless indices, drawn a batch at a time as `Images.batch` draws them."""

    def __init__(self, count: int, batch_size: int, rng: torch.Generator) -> None:
        self.count, self.batch_size, self.rng = count, batch_size, rng

    def __iter__(self) -> Iterator[int]:
        while True:
            yield from torch.randint(self.count, (self.batch_size,), generator=self.rng).tolist()


def loaded_from(
    images: Tensor, batch_size: int, rng: torch.Generator, dtype: torch.dtype = torch.float32
) -> Callable[[], Tensor]:
    """Batches of uint8 images through a DataLoader with per-item transforms."""
    dataset = TutorialImages(images)
    loader = iter(
        torch.utils.data.DataLoader(
            dataset,
            batch_size=batch_size,
            sampler=WithReplacement(len(dataset), batch_size, rng),
            num_workers=0,
        )
    )
    return lambda: next(loader).to(dtype)

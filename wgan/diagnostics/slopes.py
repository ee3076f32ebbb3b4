"""The measured Lipschitz constant: the steepest slope found. It bounds the true one from below."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wgan.diagnostics.samples import Seen

LIPSCHITZ_POINTS = 256  # of each kind: real, fake, between; in whole batches, at least one
ASCENT_PAIRS = 64
_STEP = 0.1  # of an ascent, in distances of the pair
_CLOSEST = 1e-2  # times its first distance: nearer than this, rounding outweighs the slope


def whole_batches(samples: Tensor, batch_size: int) -> Tensor:
    """The first LIPSCHITZ_POINTS samples, in whole batches, as batch norm needs them."""
    return samples[: max(LIPSCHITZ_POINTS // batch_size * batch_size, batch_size)]


def steepest(critic: nn.Module, seen: Seen, rng: torch.Generator) -> dict[str, float]:
    """The steepest slopes at and between samples.

    Returns:
        `lipschitz_gradient`, the largest gradient norm at 256 reals, 256 fakes and 256 points on
        the lines between them; `lipschitz_ratio`, the largest |f(x) - f(y)| / ||x - y||_2 over the
        256 x 256 pairs of real and fake.
    """
    real = whole_batches(seen.held_out, seen.batch_size)
    fake = whole_batches(seen.fake, seen.batch_size)
    mix = torch.rand(len(real), generator=rng, device=rng.device, dtype=real.dtype)
    mix = mix.view(-1, *[1] * (real.dim() - 1))
    largest = [
        _gradients(critic, part)[1].amax()
        for kind in (real, fake, mix * real + (1 - mix) * fake)
        for part in kind.split(seen.batch_size)
    ]
    ratios = _ratios(seen)
    return {
        "lipschitz_gradient": torch.stack(largest).amax().item(),
        "lipschitz_ratio": ratios.amax().item(),
    }


def ascend(critic: nn.Module, seen: Seen, steps: int) -> float:
    """The steepest slope that gradient ascent finds from the steepest pairs of real and fake.

    The ascent is on |f(x) - f(y)| / ||x - y||_2, from the 64 steepest pairs, along its normalised
    gradient in x and y, in steps of a tenth of the pair's distance. (An ascent on the gradient's
    norm would find no direction: it is constant in each linear piece of a ReLU network.) The
    gradient's norms at the points visited count as well.
    """
    real, fake = seen.held_out[:LIPSCHITZ_POINTS], seen.fake[:LIPSCHITZ_POINTS]
    ratios = _ratios(seen)
    chosen = ratios.flatten().topk(min(ASCENT_PAIRS, ratios.numel())).indices
    x, y = real[chosen // len(fake)].clone(), fake[chosen % len(fake)].clone()
    closest = _CLOSEST * _lengths(x - y)

    best = [ratios.amax()]
    for _ in range(steps):
        (x_scores, x_norms, x_slopes), (y_scores, y_norms, y_slopes) = (
            _scored(critic, x),
            _scored(critic, y),
        )
        between, distance = x - y, _lengths(x - y)
        rise = x_scores - y_scores
        best += [x_norms.amax(), y_norms.amax(), (rise.abs() / distance).nan_to_num(0.0).amax()]

        # d/dx of s (f(x) - f(y)) / ||x - y||, and the same in y.
        sign, turn = _like(rise.sign(), x), _like(rise.abs() / distance**2, x)
        up_x, up_y = sign * x_slopes - turn * between, -sign * y_slopes + turn * between
        stride = _like(_STEP * distance * (distance > closest), x)
        x = x + stride * up_x / _like(_lengths(up_x).clamp(min=1e-30), x)
        y = y + stride * up_y / _like(_lengths(up_y).clamp(min=1e-30), x)
    return torch.stack(best).amax().item()


def _scored(critic: nn.Module, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scores (N,), gradient norms (N,) and gradients (N, ...)."""
    at = points.detach().requires_grad_()
    with torch.enable_grad():
        scores = critic(at)
        (gradients,) = torch.autograd.grad(scores.sum(), at)
    return scores.detach(), _lengths(gradients), gradients


def _gradients(critic: nn.Module, points: Tensor) -> tuple[Tensor, Tensor]:
    _, norms, gradients = _scored(critic, points)
    return gradients, norms


def _lengths(vectors: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(vectors.flatten(1), dim=1)
    return lengths


def _like(values: Tensor, samples: Tensor) -> Tensor:
    """(N,) as (N, 1, ...), to multiply samples with."""
    return values.view(-1, *[1] * (samples.dim() - 1))


def _ratios(seen: Seen) -> Tensor:
    """|f(x) - f(y)| / ||x - y||_2 of every pair of a real and a fake; 0 where they coincide."""
    real, fake = (part[:LIPSCHITZ_POINTS].flatten(1) for part in (seen.held_out, seen.fake))
    rises = (seen.held_out_scores[: len(real), None] - seen.fake_scores[None, : len(fake)]).abs()
    runs = torch.cdist(real, fake, compute_mode="donot_use_mm_for_euclid_dist")
    return torch.where(runs > 0, rises / runs, 0.0)

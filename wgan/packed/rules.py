"""Which trainings can be packed, and which it pays to pack."""

from __future__ import annotations

import functools
import math

import torch
from torch import nn

from wgan.config import TrainConfig
from wgan.convolution import form_on_cpu, geometry
from wgan.networks.base import Network, Shape
from wgan.packed.blocks import ALIGNED
from wgan.packed.networks import STACKED, leaves
from wgan.precision import DTYPES


def unpackable(config: TrainConfig) -> str | None:
    """Why runs of this configuration cannot train as one stacked model, in words, or None."""
    for method in config.lipschitz:
        reason = method.unpackable()
        if reason is not None:
            return reason
    if config.precision == "bf16":
        return "stacked layers have not been tried in bf16"
    with torch.device("meta"):
        shape = config.dataset.shape
        networks = {
            "critic": (config.network.critic(shape, config.critic_norm), shape),
            "generator": (
                config.generator.build(config.network, shape, config.noise_size),
                (config.noise_size,),
            ),
        }
    # Matrix products give other bits at another alignment; torch's loops over single numbers go by
    # two vectors of 64 bytes at once, and what is left at the end is computed by other code.
    step = ALIGNED // DTYPES[config.precision].itemsize
    if config.batch_size % (2 * step):
        return (
            f"batches of {config.batch_size} do not fill whole vectors, so that the bits of a "
            f"training would depend on its place in the pack: {2 * step} and its multiples do"
        )
    for part, (network, inputs) in networks.items():
        for name, weight in network.named_parameters():
            if weight.dim() > 1 and weight.numel() % step:
                return (
                    f"the {part}'s {name} of {weight.numel()} numbers does not fill whole vectors, "
                    f"so that the bits of a training would depend on its place in the pack: widths "
                    f"of {step} and its multiples do"
                )
        for _, layer in leaves(network):
            if type(layer) not in STACKED:
                return f"the {part} has a layer that cannot be stacked: {type(layer).__name__}"
        reason = _convolved_by_torch(part, network, inputs, step)
        if reason is not None:
            return reason
    return None


def _convolved_by_torch(
    part: str, network: nn.Module, sample_shape: Shape, step: int
) -> str | None:
    """Which convolution of a network of layers in `STACKED` is no matrix, in words."""
    shape: tuple[int, ...] = sample_shape
    for name, layer in leaves(network):
        before, shape = shape, _shape_after(layer, shape)
        if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            continue
        maps = before[1:]
        form = form_on_cpu(layer, maps, _LEAST_STACK)
        if form is None:
            return (
                f"the {part}'s {name}, {type(layer).__name__}, cannot be stacked: only on maps of "
                f"a few pixels is it a matrix product, and here they have "
                f"{' x '.join(map(str, maps))} and {layer.in_channels} channels become "
                f"{layer.out_channels}"
            )
        size = layer.in_channels * layer.out_channels * form.entries
        if size % step:
            return (
                f"what the {part}'s {name} is multiplied by, {size} numbers, does not fill whole "
                "vectors, so that the bits of a training would depend on its place in the pack"
            )
    return None


def _shape_after(layer: nn.Module, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of a sample after a layer in `STACKED`; reckoned, since a pass takes torch's compiler along.

    To load what such a pass of meta tensors loads takes 0.7 s.
    """
    if isinstance(layer, nn.Linear):
        return (layer.out_features,)
    if isinstance(layer, nn.Flatten):
        return (math.prod(shape),)
    if isinstance(layer, nn.Unflatten):
        return tuple(layer.unflattened_size)
    if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        return shape
    place = geometry(layer, shape[1:])
    if place is None:  # it is refused before anything is asked about what follows
        return (layer.out_channels, 0, 0)
    maps = place.result if isinstance(layer, nn.Conv2d) else place.maps
    return (layer.out_channels, *maps)


def pays(config: TrainConfig, device: str) -> int:
    """The largest pack size that was measured to pay for it on this kind of device; 1: none does.

    On the CPU it is 16, of dense layers up to a product of width and batch size. CPU time of a
    generator update with 5 critic updates, WGAN-GP, depth 3, one thread of an AMD EPYC (32 MiB of
    L3, shared with other work), eager alone over the pack's share, at pack sizes

        data, width, batch       1     2     4     8     16    32
        ring8,  16,  32        1.36  2.76  4.90  7.61 12.86 15.74
        ring8,  16,  64        1.19  2.36  4.00  6.50  9.83 10.65
        ring8,  16, 256        1.31  2.20  3.40  4.48  4.80  4.60
        ring8,  64,  32        1.27  1.93  3.39  4.70  5.71  4.89
        ring8,  64,  64        1.30  2.20  2.60  3.68  4.39  4.35
        ring8, 128,  32        1.21  1.98  2.48  3.03  3.04  3.38
        ring8, 128,  64        1.10  1.59  1.91  2.27  2.27  2.32
        ring8, 128, 256        1.06  1.33  1.48  1.53  1.43  1.36
        ring8, 256,  64        1.18  1.39  1.47  1.59  1.66  1.67
        ring8, 256, 256        1.09  1.11  1.21  1.19  1.05  1.12
        ring8, 512,  32        1.16  1.21  1.23  1.26  1.35
        ring8, 512,  64        1.13  1.23  1.26  1.29  1.29
        ring8, 512, 256        1.06  1.06  1.07  0.95  0.93
        digits, 64,  64        1.26  1.91  2.84  3.71  4.51  4.69
        digits, 512, 64        1.17  1.18  1.27  1.31  1.31
        28 x 28, 64, 64                    1.79        2.06
        28 x 28, 512, 64                   1.33        1.39

    32 gains little over 16. With 16 of width 64, batch 64: weight_clipping 4.37, spectral_norm
    4.90, orthogonal_regularization 3.91, layer norm 4.07, batch norm 2.51, float64 2.87. At width
    512 the methods that compute with the weights themselves do not pay (0.86, 0.97), so that
    theirs, and that of normalised critics, is a smaller product.

    Of convolutions it is 16 as far as they can be stacked at all, which is where each is a small
    matrix or a few strips. The same for DCGAN on digits, batch 64, at pack sizes, beside other work
    on the other core (`python -m tests.speed.choices packs wgan_gp 32 2 3 4 8 16`)

        recipe, width     2     3     4     8    16
        gan,      8    1.28  1.61  1.85  2.32  2.67
        wgan,     8    1.47  1.87  2.08  2.75  3.03
        wgan_gp,  8    1.47  1.68  2.00  2.33  2.81
        sngan,    8    1.21  1.55  1.85  2.36  2.71
        gan,     16    1.35  1.60  1.76  2.14  2.41
        wgan,    16    1.54  1.80  1.93  2.26  2.57
        wgan_gp, 16    1.40  1.59  1.71  2.04  2.31
        sngan,   16    1.16  1.56  1.55  2.05  2.33
        gan,     32    1.37  1.58  1.63  1.98  2.01
        wgan,    32    1.46  1.67  1.77  2.07  2.34
        wgan_gp, 32    1.35  1.51  1.71  1.82  1.98
        sngan,   32    1.25  1.45  1.61  1.69  1.91
        gan,     64    1.20  1.30  1.32  1.34  1.34
        wgan,    64    1.23  1.35  1.40  1.37  1.41
        wgan_gp, 64    1.34  1.42  1.43  1.41  1.49
        sngan,   64    1.31  1.39  1.44  1.44  1.39
        gan,    128    1.14        1.11
        wgan_gp,128    1.20        1.21

    In groups convolutions do not pay (0.7 to 0.9, DESIGN section 6).

    On a GPU it is 16 for dense layers: `tests/speed/gpu_packed.py` measures it. A convolution is
    no matrix there.
    """
    if unpackable(config) is not None:
        return 1
    maps = _has_maps(config)
    if not device.startswith("cpu"):
        return 1 if maps else _SIZE
    if maps:
        return _SIZE if _work(config) <= _MOST_WORK_OF_MAPS else 1
    plain = config.critic_norm == "none" and all(
        method.name in _GRADIENTS_ALONE for method in config.lipschitz
    )
    return _SIZE if _work(config) <= (_MOST_WORK if plain else _MOST_WORK_OF_OTHERS) else 1


def time_of_stack(config: TrainConfig, size: int) -> float:
    """About how long a stack of so many takes on a CPU, where one training alone takes 1.

    Part of the time is the operations', whatever they compute, and comes once; the rest grows with
    the stack. From the tables in `pays`, to 0.7 to 1.5 times the measured.
    """
    power, unit = _OF_MAPS if _has_maps(config) else _OF_DENSE
    each = min(1.0, math.pow(_work(config), power) / unit)
    return 1 - each + each * size


def _work(config: TrainConfig) -> int:
    work: int = getattr(config.network, "width", 0) * config.batch_size
    return work * (2 if config.precision == "float64" else 1)


def _has_maps(config: TrainConfig) -> bool:
    """Whether the critic has convolutions."""
    return _convolves(config.network, config.dataset.shape)


@functools.lru_cache(maxsize=256)
def _convolves(network: Network, shape: Shape) -> bool:
    with torch.device("meta"):
        critic = network.critic(shape, "none")
    return any(isinstance(layer, nn.Conv2d) for layer in critic.modules())


_OF_DENSE, _OF_MAPS = (0.6, 710), (0.25, 14)  # what each adds, as `time_of_stack` counts: fitted
_LEAST_STACK, _SIZE = 2, 16
# Width times batch size.
_MOST_WORK, _MOST_WORK_OF_OTHERS, _MOST_WORK_OF_MAPS = 2**15, 2**13, 2**13
# Methods that ask for nothing but gradients, or act on single weights.
_GRADIENTS_ALONE = ("none", "weight_clipping", "gradient_penalty", "dragan", "r1", "r2")

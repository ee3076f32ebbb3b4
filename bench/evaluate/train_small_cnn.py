"""How a `SmallCNN` is trained and written, whatever it is to read.

A classifier sees its training split only; held-out images are scored once, at the end, for the
record. Small shifts, turns and noise keep it from learning the training images by heart, which
would make every other image look far from them. There is no weight decay and no label smoothing:
both draw the features of a class to a point, and with them goes what FID is to see within a class.
Deterministic on one thread: the same machine writes the same file.
"""

from __future__ import annotations

import json
import math
import platform
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bench.evaluate.small_cnn import SmallCNN, classify
from wgan.data import Images


def vary(pixels: Tensor, settings: dict[str, Any], rng: torch.Generator) -> Tensor:
    """uint8 images (N, C, H, W), slightly turned, shifted, zoomed, noised; float32, 0 to 255."""
    count, _, height, _ = pixels.shape
    turn, shift_x, shift_y, zoom = torch.randn(4, count, generator=rng)
    turn = turn * math.radians(settings["turn_degrees"])
    zoom = (zoom * settings["zoom"]).exp()
    shift = torch.stack([shift_x, shift_y], dim=1) * settings["shift_pixels"] * 2 / height
    cosine, sine = turn.cos() * zoom, turn.sin() * zoom
    matrix = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
    grid = functional.affine_grid(
        torch.cat([matrix, shift[:, :, None]], dim=2), list(pixels.shape), align_corners=False
    )
    moved: Tensor = functional.grid_sample(pixels.to(torch.float32), grid, align_corners=False)
    noise: Tensor = settings["noise"] * torch.randn(moved.shape, generator=rng)
    return (moved + noise).clamp(0, 255)


def train(data: Images, settings: dict[str, Any]) -> SmallCNN:
    """The classifier trained on the training split of `data`, in evaluation mode."""
    if data.train_labels is None:
        raise ValueError(f"{data.name} has no labels to train a classifier on")
    rng = torch.Generator().manual_seed(settings["seed"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings["seed"])
        network = SmallCNN(data.shape)
    if settings.get("channels_last"):
        network = network.in_channels_last()
    optimizer = torch.optim.Adam(network.parameters(), lr=settings["learning_rate"])
    per_epoch = len(data.train) // settings["batch_size"]
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings["epochs"] * per_epoch)
    for _ in range(settings["epochs"]):
        order = torch.randperm(len(data.train), generator=rng)
        for chosen in order[: per_epoch * settings["batch_size"]].view(per_epoch, -1):
            _, logits = network(vary(data.train[chosen], settings, rng))
            loss = functional.cross_entropy(logits, data.train_labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval().requires_grad_(False)


def train_and_write(data: Images, settings: dict[str, Any], command: str, output: Path) -> None:
    """Train on one thread, score the held-out images, write the weights with the record."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    network = train(data, settings)
    assert data.held_out_labels is not None
    accuracy, cross_entropy = classify(network, data.held_out, data.held_out_labels)
    write(
        network,
        output,
        {
            "command": command,
            "data": f"{data.name}, training split",
            "n_train": len(data.train),
            "n_held_out": len(data.held_out),
            "held_out_accuracy": accuracy,
            "held_out_cross_entropy": cross_entropy,
            "settings": settings,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    )
    print(f"{output}: held-out accuracy {accuracy:.4f}")  # noqa: T201


def write(network: SmallCNN, path: Path, record: dict[str, Any]) -> None:
    """Write the weights as safetensors with `record` in the header.

    It stands under one key: with several, their order in the file changes from run to run.
    """
    from safetensors.torch import save_file

    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(weights, path, metadata={"training": json.dumps(record, sort_keys=True)})

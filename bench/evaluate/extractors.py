"""Extractors: the networks whose features are compared, behind one call.

An extractor turns uint8 images into features and logits in one pass. A further classifier of ours
is one more line in `CLASSIFIERS`, with its weights in `weights/`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bench.evaluate.classifiers import CLASSIFIERS, unreadable
from bench.evaluate.errors import EvaluateError
from bench.evaluate.fidelity import Features
from bench.evaluate.inception import quickened
from bench.evaluate.keys import file_hash
from bench.evaluate.small_cnn import WEIGHTS, load_small_cnn
from wgan.data.places import at_home

Network = Callable[[Tensor], tuple[Tensor, Tensor]]

# Of a pass through a classifier. On a processor what one layer leaves is then in the cache for the
# next: 0.55 of the time that 500 images take, for the same bits.
_IMAGES_AT_ONCE = 500
_PIXELS_AT_ONCE = 16 * 28 * 28


@dataclass(frozen=True)
class Extractor:
    """A network with what the protocol says about it.

    Attributes:
        name, weights_hash: of the network and of its weights file (SHA-256, hex).
        feature_size: D.
        resizing: what happens to the pixels before the network.
        network: uint8 images (N, C, H, W) to features (N, D) and logits (N, K), or (N, C, K) where
            it reads each channel by itself, on `device`.
        batch_size: images per pass.
        arithmetic: what else than the weights settles its last bits; "" for the plain network.
        precision: of its convolutions.
    """

    name: str
    weights_hash: str
    feature_size: int
    resizing: str
    network: Network
    batch_size: int
    device: str = "cpu"
    arithmetic: str = ""
    precision: str = "float32"

    def __call__(self, images: Tensor) -> Features:
        """Features and logits of uint8 images, shape (N, C, H, W); float32, on the CPU.

        Images that are on the device already stay there, and what is found comes off it once.

        Bits do not depend on earlier calls: no gradient, no running statistics, no TF32, no choice
            of algorithm by timing.
        """
        features, logits = [], []
        with (
            torch.no_grad(),
            torch.backends.cudnn.flags(
                enabled=True, benchmark=False, deterministic=True, allow_tf32=False
            ),
        ):
            for part in images.split(self.batch_size):
                found = self.network(part.to(self.device))
                features.append(found[0].float())
                logits.append(found[1].float())
            return Features(torch.cat(features).cpu(), torch.cat(logits).cpu())


def make_extractor(
    name: str,
    shape: tuple[int, ...],
    inception_weights: str = "",
    device: str = "cpu",
    inception_precision: str = "float32",
) -> Extractor:
    """The extractor `name`, ready for images of `shape` (C, H, W).

    `inception_precision`, "float32" or "bf16", is that of Inception's convolutions.

    Raises:
        EvaluateError: images that it cannot read, or weights that cannot be had.
    """
    if name == "inception":
        return _inception(shape, inception_weights, device, inception_precision)
    return _classifier(name, shape, device)


def _classifier(name: str, shape: tuple[int, ...], device: str) -> Extractor:
    """A classifier of ours; images of several channels it reads channel by channel."""
    reads, channels = CLASSIFIERS[name], shape[0]
    own, margin = (1, reads.side, reads.side), reads.margin(shape)
    if margin is None:
        raise EvaluateError(unreadable(name, shape))
    path = WEIGHTS / f"{name}.safetensors"
    if not path.is_file():
        raise EvaluateError(
            f"evaluate.extractor: the weights of {name!r} are missing: {path}; "
            f"they come with wgan-bench; `python -m bench.evaluate.train_{name}` makes them anew"
        )
    network = load_small_cnn(path, own).to(device)
    if reads.channels_last:
        network = network.in_channels_last()
    by_channel = ", each channel by itself, their features joined" if channels > 1 else ""
    size = f"{reads.side}x{reads.side}"
    return Extractor(
        name=name,
        weights_hash=file_hash(path),
        feature_size=network.head.in_features * channels,
        resizing=(
            f"the middle {size} of {shape[1]}x{shape[2]}" if margin else f"none, native {size}"
        )
        + by_channel,
        network=_channel_by_channel(network, margin) if channels > 1 or margin else network,
        batch_size=_at_once(reads.side, device) // channels or 1,
        device=device,
    )


def _at_once(side: int, device: str) -> int:
    """Images of one channel and `side` pixels each way that a classifier reads in one pass."""
    if torch.device(device).type != "cpu":
        return _IMAGES_AT_ONCE
    return min(_IMAGES_AT_ONCE, _PIXELS_AT_ONCE // side**2)


def _channel_by_channel(network: Network, margin: int) -> Network:
    """The network on the middle of each channel: features (N, C D) and logits (N, C, K)."""

    def run(images: Tensor) -> tuple[Tensor, Tensor]:
        count, channels, height, width = images.shape
        middle = images[:, :, margin : height - margin, margin : width - margin]
        features, logits = network(middle.flatten(0, 1)[:, None])
        if channels == 1:
            return features, logits
        return features.view(count, -1), logits.view(count, channels, -1)

    return run


def _inception(shape: tuple[int, ...], weights: str, device: str, precision: str) -> Extractor:
    """torch-fidelity's Inception v3 with the weights of the original TensorFlow network."""
    from torch_fidelity import FeatureExtractorInceptionV3

    if shape[0] not in (1, 3):
        raise EvaluateError(
            f"evaluate.extractor: 'inception' reads images of 1 or 3 channels, not {shape[0]}"
        )
    path = inception_weights(weights)
    try:
        # Tensors only: torch-fidelity then reads the file itself, and would run any code in it.
        torch.load(path, map_location="cpu", weights_only=True)
        # Its initialisers draw from torch's global stream, which is not ours to move.
        with torch.random.fork_rng(devices=[]):
            network = FeatureExtractorInceptionV3(
                "inception-v3-compat",
                ["2048"],
                feature_extractor_weights_path=str(path),
                verbose=False,
            )
    # A file from elsewhere: whatever its bytes make torch raise, it is refused.
    except Exception as error:
        raise EvaluateError(
            f"{path} does not hold torch-fidelity's Inception weights ({_first_line(error)}); "
            f"{_by_hand(_downloaded())}"
        ) from None
    quickened(network, precision).to(device)
    to_logits = network.fc.weight.T  # "logits_unbiased"

    def run(images: Tensor) -> tuple[Tensor, Tensor]:
        (features,) = network(images.expand(-1, 3, -1, -1))
        return features, features.mm(to_logits)

    repeated = "the one channel repeated to 3, " if shape[0] == 1 else ""
    return Extractor(
        name="inception",
        weights_hash=file_hash(path),
        feature_size=2048,
        resizing=f"{repeated}bilinear to 299x299 as in TensorFlow 1",
        network=run,
        batch_size=64,
        device=device,
        arithmetic=f"batch norm folded, channels_last, {precision}",
        precision=precision,
    )


def inception_weights(given: str) -> Path:
    """The weights file: the one given, else the one downloaded, now if need be.

    Raises:
        EvaluateError: there is none, and it cannot be downloaded; how to get it by hand.
    """
    if given:
        path = at_home(given)
        if not path.is_file():
            raise EvaluateError(
                f"evaluate.inception_weights: there is no file {given!r}; {_by_hand(_downloaded())}"
            )
        return path
    path = _downloaded()
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # The name ends in the first digits of the file's hash. A half download is never seen.
            torch.hub.download_url_to_file(
                _url(), str(path), hash_prefix=path.stem.rsplit("-", 1)[1], progress=False
            )
        except (OSError, RuntimeError) as error:
            raise EvaluateError(
                f"torch-fidelity's Inception weights are missing and could not be downloaded "
                f"({_first_line(error)}); {_by_hand(path)}"
            ) from None
    return path


def _url() -> str:
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    return str(URL_INCEPTION_V3)


def _downloaded() -> Path:
    """Where torch-fidelity keeps its download, so that one copy serves both."""
    return Path(torch.hub.get_dir()) / "checkpoints" / _url().rsplit("/", 1)[1]


def _by_hand(path: Path) -> str:
    return (
        f"download {_url()} by hand, and put it at {path} "
        "or set evaluate.inception_weights to its path"
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__

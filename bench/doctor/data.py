"""Which data sets and weights are there, and where the others come from."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
from pathlib import Path

from bench.doctor.check import FAIL, OK, WARN, Check


def check_digits() -> Check:
    """The digits, which come with scikit-learn."""
    data = importlib.import_module("wgan.data").Digits().load()
    return Check("digits", OK, f"{len(data.train)} to train on, {len(data.held_out)} held out")


def check_sets() -> list[Check]:
    """Where data sets are looked for, and each of those that lie in files."""
    places = importlib.import_module("wgan.data.places")
    sets = importlib.import_module("wgan.data.base").Dataset.registry
    published = importlib.import_module("wgan.data.published").PublishedSet
    place = places.data_folder()
    found = [_check_place(place, places.DATA)]
    for name, kind in sorted(sets.items()):
        if issubclass(kind, published):
            there = kind().find()
            text = f"in {there.folder}" if there else f"not there{_obstacle(name)}"
            found.append(Check(f"data set {name}", OK, text))
    return found


def _check_place(place: Path, variable: str) -> Check:
    found = f"{place}; what is not there is downloaded at first use, or put there by hand"
    if place.is_dir() or variable not in os.environ:
        return Check("data folder", OK, found)
    advice = f"make it, or have ${variable} name the folder that holds the sets"
    return Check("data folder", WARN, f"{place} (${variable}) is not there", advice)


def _obstacle(name: str) -> str:
    missing = name == "celeba" and importlib.util.find_spec("gdown") is None
    return "; its download needs the package gdown, which is not installed" if missing else ""


def check_classifiers() -> list[Check]:
    """The shipped classifiers whose features score images."""
    return [
        _check_classifier(name)
        for name in importlib.import_module("bench.evaluate.classifiers").CLASSIFIERS
    ]


def _check_classifier(name: str) -> Check:
    path: Path = importlib.import_module("bench.evaluate.small_cnn").WEIGHTS / f"{name}.safetensors"
    advice = f"python -m bench.evaluate.train_{name} makes them anew"
    if not path.is_file():
        return Check(f"{name} weights", FAIL, f"{path} is missing", advice)
    try:
        importlib.import_module("safetensors.numpy").load_file(path)
    except Exception as error:  # whatever its bytes make the reader raise
        return Check(f"{name} weights", FAIL, f"{path} cannot be read: {error}", advice)
    return Check(f"{name} weights", OK, f"{path.stat().st_size / 1000:.0f} kB, shipped")


def check_inception() -> Check:
    """Torch-fidelity's Inception weights, which only image sets without a classifier need."""
    name = "inception weights"
    folder = Path(importlib.import_module("torch").hub.get_dir()) / "checkpoints"
    found = sorted(folder.glob("weights-inception-*.pth"))
    if not found:
        advice = (
            "not needed for densities, digits and MNIST; otherwise fetched at first use, or put "
            "there by hand"
        )
        return Check(name, WARN, f"not in {folder}", advice)
    path = found[0]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = path.stat().st_size / 1e6
    if not digest.startswith(path.stem.rsplit("-", 1)[1]):  # its name ends in its hash
        advice = "remove it: it is then fetched anew at first use"
        return Check(name, WARN, f"{path}, {size:.0f} MB, is damaged", advice)
    return Check(name, OK, f"{path}, {size:.0f} MB")

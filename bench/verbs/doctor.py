"""`doctor`: whether this machine can do the work, and what to do where it cannot."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from bench.limits import cpu_quota
from bench.verbs.show import say, show_json, styled, tally

_GB = 1e9
_RELEASED = 1_760_000_000  # seconds since 1970; no clock that is right shows less


@dataclass(frozen=True)
class Check:
    """One finding: `state` is ok, warn or fail; `advice` says what to do about the latter two."""

    name: str
    state: str
    found: str
    advice: str = ""


def doctor(results: Path, *, as_json: bool, plain: bool) -> int:
    """Print every check; ends with 2 if one fails."""
    checks = list(examine(results))
    failed = any(check.state == "fail" for check in checks)
    if as_json:
        show_json([asdict(check) for check in checks])
        return 2 if failed else 0
    for check in checks:
        say(f"{styled(check.state.ljust(4), plain=plain)}  {check.name}: {check.found}")
        if check.advice:
            say(f"      {check.advice}")
    say("")
    say(tally((check.state for check in checks), ("ok", "warn", "fail")))
    return 2 if failed else 0


def examine(results: Path) -> Iterator[Check]:
    """All checks, in order; one that cannot be made fails instead of raising."""
    checks: tuple[tuple[str, Callable[[], Check]], ...] = (
        ("python", check_python),
        ("cores", check_cores),
        ("memory", check_memory),
        ("disk", lambda: check_disk(results)),
        ("results folder", lambda: check_results(results)),
        ("clock", lambda: check_clock(results)),
        ("packages", check_packages),
        ("torch", check_torch),
        ("GPU", check_gpu),
        ("torchvision", check_torchvision),
        ("digits", check_digits),
        ("digits_cnn weights", check_digits_cnn),
        ("inception weights", check_inception),
    )
    for name, check in checks:
        try:
            yield check()
        except OSError as error:
            advice = "choose another folder with --results" if error.filename else ""
            yield Check(name, "fail", f"{error.strerror}: {error.filename}", advice)
        except (ImportError, RuntimeError, ValueError) as error:
            advice = "install the requirements again: pip install wgan-bench"
            yield Check(name, "fail", f"{type(error).__name__}: {_first_line(error)}", advice)


def check_python() -> Check:
    """3.11 or later."""
    found = sys.version.split()[0]
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever runs a copied tree may have any
        return Check("python", "fail", found, "install Python 3.11 or later")
    return Check("python", "ok", found)


def check_cores() -> Check:
    """How many runs can train beside each other."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    import psutil

    physical = psutil.cpu_count(logical=False)
    found = f"{usable} usable, {physical or 'an unknown number of'} physical; a run takes one"
    quota = cpu_quota()
    if quota is not None and quota < (usable or 1) - 0.5:
        advice = f"this container may use {quota:g}, to which runs keep unless --slots says more"
        return Check("cores", "warn", found, advice)
    return Check("cores", "ok", found)


def check_memory() -> Check:
    """About half a gigabyte for each run beside the first."""
    import psutil

    memory = psutil.virtual_memory()
    found = f"{memory.available / _GB:.1f} of {memory.total / _GB:.1f} GB available"
    if memory.available < 1.5 * _GB:
        return Check("memory", "warn", found, "close other programs, or run with --slots 1")
    return Check("memory", "ok", found)


def check_disk(results: Path) -> Check:
    """Space where the results will lie."""
    free = shutil.disk_usage(_existing(results)).free
    found = f"{free / _GB:.1f} GB free for {results}"
    advice = "free some, or choose another folder with --results"
    if free < 0.1 * _GB:
        return Check("disk", "fail", found, advice)
    return Check("disk", "warn" if free < 2 * _GB else "ok", found, advice if free < 2e9 else "")


def check_results(results: Path) -> Check:
    """Whether the results can be written; the folder itself is not made."""
    folder = _existing(results)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        found = f"{folder} cannot be written: {error.strerror}"
        advice = "choose another folder with --results, or mend its permissions"
        return Check("results folder", "fail", found, advice)
    made = "" if folder == results else " (not there yet)"
    return Check("results folder", "ok", f"{results} can be written{made}")


def check_clock(results: Path) -> Check:
    """Whether the clock is right, and agrees with that of the disk."""
    now = time.time()
    if now < _RELEASED:
        return Check("clock", "fail", time.strftime("%Y-%m-%d"), "set the clock of this machine")
    with tempfile.NamedTemporaryFile(dir=_existing(results)) as file:
        skew = abs(Path(file.name).stat().st_mtime - now)
    if skew > 30:
        advice = "set the clocks of this machine and of the file server"
        return Check("clock", "warn", f"the disk's clock differs by {skew:.0f} s", advice)
    return Check("clock", "ok", time.strftime("%Y-%m-%d %H:%M:%S %Z"))


def check_packages() -> Check:
    """Whether every requirement is there, in a version that is new enough."""
    try:
        required = metadata.requires("wgan-bench") or []
    except metadata.PackageNotFoundError:
        return Check("packages", "warn", "wgan-bench is not installed", "pip install -e .")
    found, wrong = [], []
    for line in required:
        match = re.match(r"([A-Za-z0-9._-]+)\s*(?:>=\s*([0-9.]+))?", line.partition(";")[0])
        if match is None or "extra ==" in line:
            continue
        name, lowest = match[1], match[2]
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is missing")
            continue
        found.append(f"{name} {version}")
        if lowest and _numbers(version) < _numbers(lowest):
            wrong.append(f"{name} {version} is older than {lowest}")
    if wrong:
        advice = "pip install --upgrade wgan-bench, or make its environment anew"
        return Check("packages", "fail", "; ".join(wrong), advice)
    return Check("packages", "ok", ", ".join(found))


def check_torch() -> Check:
    """That torch can be imported and computes."""
    torch = importlib.import_module("torch")
    total = float(torch.ones(8).sum())
    capability = torch.backends.cpu.get_cpu_capability()
    found = f"{torch.__version__}, {torch.get_num_threads()} threads, {capability}"
    if total != 8.0:
        return Check("torch", "fail", f"{found}: 8 ones sum to {total}", "install torch again")
    return Check("torch", "ok", found)


def check_gpu() -> Check:
    """What CUDA offers; runs train on the CPU where it offers nothing."""
    cuda = importlib.import_module("torch").cuda
    if not cuda.is_available():
        return Check("GPU", "ok", "none that torch can use; runs train on the CPU")
    names = [cuda.get_device_name(index) for index in range(cuda.device_count())]
    return Check("GPU", "ok", ", ".join(names))


def check_torchvision() -> Check:
    """That torch-fidelity's feature network can be imported, which needs torchvision."""
    operators = importlib.import_module("wgan.data.torchvision_operators")
    mended = operators.declare_missing_operators() is not None
    version = importlib.import_module("torchvision").__version__
    how = "; its compiled operators do not fit this torch, which is mended" if mended else ""
    return Check("torchvision", "ok", version + how)


def check_digits() -> Check:
    """The digits, which come with scikit-learn."""
    data = importlib.import_module("wgan.data").Digits().load()
    return Check("digits", "ok", f"{len(data.train)} to train on, {len(data.held_out)} held out")


def check_digits_cnn() -> Check:
    """The shipped classifier whose features score the digits."""
    path = importlib.import_module("bench.evaluate.small_cnn").WEIGHTS / "digits_cnn.safetensors"
    if not path.is_file():
        advice = "python -m bench.evaluate.train_digits_cnn makes them anew"
        return Check("digits_cnn weights", "fail", f"{path} is missing", advice)
    importlib.import_module("safetensors.numpy").load_file(path)
    return Check("digits_cnn weights", "ok", f"{path.stat().st_size / 1000:.0f} kB, shipped")


def check_inception() -> Check:
    """Torch-fidelity's Inception weights, which only image sets other than the digits need."""
    hub = importlib.import_module("torch").hub
    folder = Path(hub.get_dir()) / "checkpoints"
    found = sorted(folder.glob("weights-inception-*.pth"))
    if found:
        size = found[0].stat().st_size / 1e6
        return Check("inception weights", "ok", f"{found[0]}, {size:.0f} MB")
    return Check(
        "inception weights",
        "warn",
        f"not in {folder}",
        "not needed for digits and densities; otherwise fetched at first use, or put there by hand",
    )


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest above it that exists."""
    for folder in (path, *path.absolute().parents):
        if folder.is_dir():
            return folder
    return Path.cwd()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no reason given"

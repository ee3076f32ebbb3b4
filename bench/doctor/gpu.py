"""GPUs: what the driver shows, whether torch was built for it, and whether they compute.

A machine without one is sound, since runs train on the CPU; nothing found here is a failure.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from bench.doctor.check import OK, WARN, Check, ask

_DRIVER_SECONDS = 15.0
_COMPUTE_SECONDS = 90.0  # torch and CUDA take up to half a minute to start on a slow disk
_QUERY = (
    "--query-gpu=index,name,memory.total,memory.used,driver_version",
    "--format=csv,noheader,nounits",
)
# A product, whose sum is known, and a convolution, which needs cuDNN.
_COMPUTE = """
import json, torch
found = {"available": torch.cuda.is_available(), "devices": []}
for index in range(torch.cuda.device_count() if found["available"] else 0):
    device = {"name": torch.cuda.get_device_name(index), "problem": ""}
    try:
        ones = torch.ones(64, 64, device=f"cuda:{index}")
        total = float((ones @ ones).sum())
        torch.nn.functional.conv2d(ones[None, None], ones[None, None, :3, :3]).sum().item()
        device["problem"] = "" if total == 64.0**3 else f"a sum is {total}, not {64.0**3}"
    except Exception as error:
        device["problem"] = f"{type(error).__name__}: {error}".splitlines()[0]
    found["devices"].append(device)
print(json.dumps(found))
"""
_ON_THE_CPU = "runs train on the CPU"


def check_gpus() -> list[Check]:
    """What nvidia-smi shows, and then what torch can do with it."""
    built = importlib.import_module("torch").version.cuda
    smi = shutil.which("nvidia-smi")
    shown = [] if smi is None else [_driver(smi)]
    if smi is None and built is None:
        return [Check("GPU", OK, f"none; {_ON_THE_CPU}")]
    if built is None:
        return [*shown, _without_cuda(shown)]
    return [*shown, _computing(built, None if smi is None else _driver_cuda(smi), bool(shown))]


def _driver(smi: str) -> Check:
    """The GPUs by name, memory and driver."""
    answer = ask([smi, *_QUERY], _DRIVER_SECONDS)
    if answer.code != 0:
        advice = (
            f"{_ON_THE_CPU}; the driver must work first: restart the machine, or ask those who "
            "run it"
        )
        return Check("GPU", WARN, f"nvidia-smi: {answer.why}", advice)
    rows = [[cell.strip() for cell in line.split(",")] for line in answer.output.splitlines()]
    names = [
        f"{index}: {name}, {total} MiB, {used} in use, driver {driver}"
        for index, name, total, used, driver in (row for row in rows if len(row) == 5)
    ]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    seen = "" if visible is None else f"; CUDA_VISIBLE_DEVICES={visible or '(empty)'} chooses"
    return Check("GPU", OK, ("; ".join(names) or f"none; {_ON_THE_CPU}") + seen)


def _driver_cuda(smi: str) -> str | None:
    """The newest CUDA that the driver knows, from the heading of nvidia-smi."""
    match = re.search(r"CUDA Version:\s*(\d+\.\d+)", ask([smi], _DRIVER_SECONDS).output)
    return match[1] if match else None


def _without_cuda(shown: Sequence[Check]) -> Check:
    if any(check.state == OK and not check.found.startswith("none") for check in shown):
        advice = "to use the GPUs, install a build of torch for CUDA in place of this one"
        return Check("CUDA", WARN, f"this torch is built without it; {_ON_THE_CPU}", advice)
    return Check("CUDA", OK, f"this torch is built without it; {_ON_THE_CPU}")


def _computing(built: str, driver: str | None, has_smi: bool) -> Check:
    """A small computation on each GPU, in a process of its own: a broken driver may hang it."""
    known = f", the driver knows {driver}" if driver else ""
    versions = f"torch is built for CUDA {built}{known}"
    answer = ask([sys.executable, "-c", _COMPUTE], _COMPUTE_SECONDS)
    try:
        found = json.loads(answer.output.strip().splitlines()[-1])
    except (IndexError, ValueError):
        advice = f"{_ON_THE_CPU} with CUDA_VISIBLE_DEVICES= ; the driver or torch must be mended"
        return Check("CUDA", WARN, f"{versions}; a computation failed: {answer.why}", advice)
    if not found["available"]:
        return _unavailable(versions, built, driver, has_smi)
    return _computed(versions, found["devices"])


def _unavailable(versions: str, built: str, driver: str | None, has_smi: bool) -> Check:
    if driver is not None and _major(driver) < _major(built):
        advice = f"update the driver, or install a build of torch for CUDA {driver} or older"
        return Check("CUDA", WARN, f"{versions}, which is too old; {_ON_THE_CPU}", advice)
    if has_smi and os.environ.get("CUDA_VISIBLE_DEVICES") not in ("", "-1"):
        advice = "torch sees none of the GPUs: is CUDA_VISIBLE_DEVICES right, or the driver broken?"
        return Check("CUDA", WARN, f"{versions}; {_ON_THE_CPU}", advice)
    return Check("CUDA", OK, f"{versions}; none that torch can use; {_ON_THE_CPU}")


def _computed(versions: str, devices: Sequence[Mapping[str, Any]]) -> Check:
    bad = [
        f"GPU {index} ({device['name']}): {device['problem']}"
        for index, device in enumerate(devices)
        if device["problem"]
    ]
    if bad:
        advice = "leave it out with --gpus, and have it looked at"
        return Check("CUDA", WARN, f"{versions}; {'; '.join(bad)}", advice)
    return Check("CUDA", OK, f"{versions}; computes on {len(devices)} of {len(devices)}")


def _major(version: str) -> int:
    return int(version.partition(".")[0])

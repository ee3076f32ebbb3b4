"""What is kept of measurements: reports/speed/figures.json, and a file for each accelerator."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.speed.figure import Figure
from tests.speed.required import ROWS

FIGURES = "figures.json"


@dataclass
class Kept:
    """All that the report is written from.

    Attributes:
        machine: what `machine.machine` said of the one that measured them.
        figures: by row; company and stamps (commit, date) by row too.
        unavailable: by group, why it has no figures.
        devices: the header of each accelerator's file, by device.
    """

    machine: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    stamps: dict[str, dict[str, Any]] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    devices: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, group: str, measured: dict[str, Any], stamp: dict[str, Any]) -> None:
        """Take up what a group's process has written."""
        if "unavailable" in measured:
            self.unavailable[group] = measured["unavailable"]
            return
        self.unavailable.pop(group, None)
        for name, plain in measured["figures"].items():
            self.figures[name] = Figure.from_plain(plain)
            self.stamps[name] = {**stamp, "company": measured["company"]}

    def save(self, folder: Path) -> None:
        """Write this machine's figures in their rows' order: equal figures give equal bytes."""
        plain = {
            "machine": self.machine,
            "figures": {
                row.name: {**self.figures[row.name].to_plain(), "stamp": self.stamps[row.name]}
                for row in ROWS
                if row.name in self.figures and not self.figures[row.name].device
            },
            "unavailable": dict(sorted(self.unavailable.items())),
        }
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(plain, indent=1)
        (folder / FIGURES).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Kept:
        """What lies in a folder, the accelerators' files among it; empty where nothing does."""
        kept = cls()
        path = folder / FIGURES
        if path.is_file():
            plain = json.loads(path.read_text(encoding="utf-8"))
            kept.machine, kept.unavailable = plain["machine"], plain["unavailable"]
            for name, figure in plain["figures"].items():
                kept.stamps[name] = figure.pop("stamp")
                kept.figures[name] = Figure.from_plain(figure)
        for path in sorted(folder.glob("gpu-*.json")):
            kept.take_device(json.loads(path.read_text(encoding="utf-8")))
        return kept

    def take_device(self, plain: dict[str, Any]) -> None:
        """Take up the figures of an accelerator.

        `plain` is {"machine": {"device": name, ...}, "figures": {row: {"values": [...], ...}}}, the
        values one for each round.

        Raises:
            ValueError: no device, or a figure that is no row of a GPU's.
        """
        header, known = plain["machine"], {row.name for row in ROWS if row.on_a_gpu}
        if not header.get("device"):
            raise ValueError("a file of GPU figures must name its machine's device")
        unknown = sorted(set(plain["figures"]) - known)
        if unknown:
            raise ValueError(
                f"{', '.join(unknown)}: no such GPU rows; there are {', '.join(sorted(known))}"
            )
        self.devices[header["device"]] = header
        for name, figure in plain["figures"].items():
            self.figures[name] = Figure.from_plain({**figure, "device": header["device"]})
            self.stamps[name] = {}

    def save_devices(self, folder: Path) -> None:
        """A file for each accelerator, named after it."""
        folder.mkdir(parents=True, exist_ok=True)
        for device, header in self.devices.items():
            figures = {
                name: {key: value for key, value in figure.to_plain().items() if key != "device"}
                for name, figure in self.figures.items()
                if figure.device == device
            }
            name = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")
            text = json.dumps({"machine": header, "figures": figures}, indent=1)
            (folder / f"gpu-{name}.json").write_text(text + "\n", encoding="utf-8")

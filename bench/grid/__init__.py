"""Sweep files: YAML to a list of runs, with every mistake answered by file and line."""

from bench.grid.exclusions import Excluded
from bench.grid.source import SweepError
from bench.grid.sweep import RecordSpec, Sweep, load

__all__ = ["Excluded", "RecordSpec", "Sweep", "SweepError", "load"]

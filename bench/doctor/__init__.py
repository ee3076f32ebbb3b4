"""The checks of `doctor`: whether this machine can do the work, and what to do where it cannot.

`examine` makes all of them, in order, each with a time limit: whatever hangs or breaks, the others
are made.
"""

from bench.doctor.check import Check, Planned, examine

__all__ = ["Check", "Planned", "examine"]

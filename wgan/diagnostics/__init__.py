"""Looking at a training without touching it: samples, estimates, slopes, weights, profiles.

Everything here draws from streams of its own, `evaluation` and those that begin with it, begun anew
at each call, so that each evaluation of a run, and of every run with the same seed, sees the same
noise and the same reals. Networks, buffers and training streams are left as they were.
"""

from wgan.diagnostics.cost import Flops, step_cost
from wgan.diagnostics.diagnose import Looks, diagnose, lipschitz_protocol
from wgan.diagnostics.profiles import PROFILES, Profile, make_profile
from wgan.diagnostics.samples import fresh_sets, generate

__all__ = [
    "PROFILES",
    "Flops",
    "Looks",
    "Profile",
    "diagnose",
    "fresh_sets",
    "generate",
    "lipschitz_protocol",
    "make_profile",
    "step_cost",
]

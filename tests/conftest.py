"""Settings of every test: one thread, so that bits are equal and workers do not fight for cores.

The variables must stand before numpy and torch are loaded, and reach the processes tests start.
"""

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import torch

torch.set_num_threads(1)

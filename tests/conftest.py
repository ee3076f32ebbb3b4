"""Settings of every test: one thread, so that bits are equal and helpers beside each other do not
fight for cores.
"""

import torch

torch.set_num_threads(1)

"""Scores pictures at their own size, in windows where the memory does not suffice for the whole."""

import psutil
import torch

from fcn_lab.cost.memory import count_peak_bytes
from fcn_lab.inference.predictor import Predictor
from fcn_lab.inference.sliding_windows import SlidingWindows

WINDOW, OVERLAP = 1024, 256  # pixels
# the share of free memory that maps may take: kernels need memory, too
MEMORY_SHARE = 0.5


def fit_to_memory(predictor: Predictor, height: int, width: int) -> Predictor:
    """Returns the predictor, or one over windows where a picture (H,W) takes too much memory."""
    room = MEMORY_SHARE * count_free_bytes(predictor.device)
    if max(height, width) <= WINDOW or count_peak_bytes(predictor.net, height, width) <= room:
        return predictor
    windows = SlidingWindows(predictor.net, WINDOW, OVERLAP)
    settings = predictor.classes, predictor.palette, predictor.flip, predictor.device
    return Predictor(windows, *settings)


def count_free_bytes(device: torch.device) -> int:
    """Returns the memory that a network on this device may still take."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)

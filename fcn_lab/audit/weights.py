"""Computes class weights by the definitions of several papers, from the training set's pixels.

f = pixels of a class / pixels of the images that show it, p = pixels of a class / all that are not
void, n = pixels of a class. A class that is never seen has no weight: 0.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from fcn_lab.data.balance import MedianFrequency

Weights = NDArray[np.float64]
Definition = Callable[[Weights, Weights], Weights]


def _median_frequency(power: float) -> Definition:
    def weigh(counts: Weights, image_pixels: Weights) -> Weights:
        weights = MedianFrequency(power)(torch.from_numpy(counts), torch.from_numpy(image_pixels))
        return np.asarray(weights.numpy(), np.float64)

    return weigh


def _weigh_by_share(weight: Callable[[Weights], Weights]) -> Definition:
    def weigh(counts: Weights, image_pixels: Weights) -> Weights:
        result = np.zeros(len(counts))
        mask = counts > 0
        result[mask] = weight(counts[mask] / counts.sum())
        return result

    return weigh


def _effective_number(counts: Weights, image_pixels: Weights) -> Weights:
    beta = 1 - 1 / counts.sum()
    result = np.zeros(len(counts))
    mask = counts > 0
    result[mask] = (1 - beta) / -np.expm1(counts[mask] * np.log(beta))
    return np.asarray(result * mask.sum() / result.sum(), np.float64)


# title → (formula and source, function of the pixels of a class and of the images that show it)
DEFINITIONS: dict[str, tuple[str, Definition]] = {
    "median frequency": (
        "median(f) / f; Eigen, Fergus 2015, as SegNet; loss=ce_weighted",
        _median_frequency(1.0),
    ),
    "its square root": ("√(median(f) / f); loss=ce_sqrt_weighted", _median_frequency(0.5)),
    "median share": ("median(p) / p, over all images", _weigh_by_share(lambda p: np.median(p) / p)),
    "inverse share": ("1 / (K p)", _weigh_by_share(lambda p: 1 / (len(p) * p))),
    "ENet": (
        "1 / ln(1.02 + p); Paszke et al. 2016",
        _weigh_by_share(lambda p: 1 / np.log(1.02 + p)),
    ),
    "effective number": (
        "(1 − β) / (1 − βⁿ), β = 1 − 1 / Σ n, mean 1; Cui et al. 2019",
        _effective_number,
    ),
}


def class_weights(counts: NDArray[np.int64], pixels: int | NDArray[np.int64]) -> dict[str, Weights]:
    """Returns definition title → (K,) weights.

    Args:
        counts: (M,K) pixels of every class in every image.
        pixels: how many pixels an image has, or (M,) where images differ.
    """
    total = counts.sum(0).astype(np.float64)
    image_pixels = ((counts > 0) * np.reshape(pixels, (-1, 1))).sum(0).astype(np.float64)
    if not total.any():
        return {title: total for title in DEFINITIONS}
    return {title: weigh(total, image_pixels) for title, (_, weigh) in DEFINITIONS.items()}

"""Decides whether masks were resized as pictures are.

Interpolating colours leaves colours of no class. Interpolating ids leaves ids that all exist, but
between Building, 1, and Tree, 5, there is then a line of Pole, Road and Pavement, 2, 3 and 4. Sound
masks have thin lines too, but these do not follow the order of the ids. So it is counted how often
a pixel between two others has an id between theirs, and the count is compared with those under
shuffled ids.
"""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from fcn_lab.data.survey import LabelEdges

SHUFFLE_COUNT = 300
# in standard deviations above the shuffled mean; sound masks stay within 2, interpolated exceed 4
DEVIATION_LIMIT = 4.0
# share of the pixels of no class whose value lies between their neighbours'
MIXED_SHARE_LIMIT = 0.5


def looks_interpolated(edges: LabelEdges) -> bool:
    """Returns whether the labels of one split were resized with interpolation."""
    if edges.wrong_count and edges.mixed_count > MIXED_SHARE_LIMIT * edges.wrong_count:
        return True
    return bool(edges.triples) and order_deviation(edges.triples) > DEVIATION_LIMIT


def order_deviation(triples: Counter[tuple[int, int, int]]) -> float:
    """Returns how far ids stand in order beyond chance, in standard deviations of shuffled ids."""
    ids, codes = np.unique(np.array(list(triples)), return_inverse=True)
    first, middle, last = codes.reshape(-1, 3).T
    counts = np.array(list(triples.values()))

    def in_order(rank: NDArray[np.int64]) -> float:
        low, high = (f(rank[first], rank[last]) for f in (np.minimum, np.maximum))
        return float(counts[(low < rank[middle]) & (rank[middle] < high)].sum() / counts.sum())

    rng = np.random.default_rng(0)
    chances = [in_order(rng.permutation(len(ids))) for _ in range(SHUFFLE_COUNT)]
    spread = float(np.std(chances))
    return (in_order(np.arange(len(ids))) - float(np.mean(chances))) / spread if spread else 0.0

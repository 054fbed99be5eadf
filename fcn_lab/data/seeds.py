"""Seeds of single draws."""

import numpy as np


def seed_of(*numbers: int) -> int:
    """Returns one 63-bit seed from numbers such as (seed, epoch, index).

    Neighbours share no stream.
    """
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))

"""Types of pictures and labels, and the label of pixels that count nowhere."""

import numpy as np
from numpy.typing import NDArray

# a picture, height × width × channels, or its label, height × width
Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]
# pixels without a class, which no score and no loss counts
VOID = 255
VOID_COLOUR: Colour = (0, 0, 0)

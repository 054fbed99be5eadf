"""Names for what pictures and labels are made of, and the label that counts nowhere."""

import numpy as np
from numpy.typing import NDArray

# of a picture, height × width × channels, or of its label, height × width
Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]
# pixels without a class, which no score and no loss counts
VOID = 255
VOID_COLOUR: Colour = (0, 0, 0)

"""Crops that rare classes are in as often as common ones, for augment=balanced."""

import albumentations as A
import numpy as np

from fcn_lab.data.augment import Augmentation
from fcn_lab.pixels import VOID


class BalancedCrops(Augmentation):
    """Draws a class of the frame, each with the same probability, and a crop with a pixel of it.

    Arguments are those of `Augmentation`; ``crop`` is needed.
    """

    def _build_geometry(self, rows: int, columns: int, channels: int) -> list[A.BasicTransform]:
        return [
            ClassCrop(rows, columns) if isinstance(transform, A.RandomCrop) else transform
            for transform in super()._build_geometry(rows, columns, channels)
        ]


class ClassCrop(A.RandomCrop):
    """Cuts out a crop that holds a pixel of a class, both drawn evenly."""

    def get_params_dependent_on_data(
        self, params: dict[str, object], data: dict[str, np.ndarray]
    ) -> dict[str, tuple[int, int, int, int]]:
        """Returns the crop's corners (x_min, y_min, x_max, y_max)."""
        label = data["mask"]
        classes = np.flatnonzero(np.bincount(label.ravel(), minlength=VOID)[:VOID])
        if not classes.size:
            return super().get_params_dependent_on_data(params, data)
        places = np.argwhere(label == self.py_random.choice(classes))
        pixel = places[self.py_random.randrange(len(places))]
        top, left = (
            # every crop inside the frame that holds the pixel
            self.py_random.randint(max(0, at - length + 1), min(at, side - length))
            for at, length, side in zip(
                map(int, pixel), (self.height, self.width), label.shape, strict=True
            )
        )
        return {"crop_coords": (left, top, left + self.width, top + self.height)}

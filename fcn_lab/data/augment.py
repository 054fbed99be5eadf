"""Random variations of a training frame.

Only this file imports albumentations (2.0.8, the last MIT release). H W: rows and columns, C:
channels.

Shared signature: ``augment(image, label, seed) -> (image, label)``, (H,W,C) and (H,W) uint8, all of
one size. All that is drawn is a function of the seed.
"""

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import cv2
import numpy as np
from annotated_types import Ge, Le

from fcn_lab.data.pictures.parts import show_colours
from fcn_lab.data.resizing import IMAGENET_MEAN, OPENCV_CHANNELS, choose_filling
from fcn_lab.errors import UserError
from fcn_lab.pixels import VOID, Pixels
from fcn_lab.values import Share, Side, check_arguments

if TYPE_CHECKING:
    from albumentations import BasicTransform, Compose

Zoom = Annotated[float, Ge(0.05), Le(20)]
Exponent = Annotated[float, Ge(0.01), Le(100)]
_PIPELINES_KEPT = 64


@check_arguments
@dataclass
class Augmentation:
    """Flips, scales and crops, then changes light and colour; by default it does none of them.

    Light, colour and blur change the first three channels, or the first one as grey where there are
    fewer; depth and other channels after these keep their values.

    Attributes:
        scale: smallest and largest zoom; below 1 the frame is set at random into the mean colour,
            labelled void.
        crop: rows and columns cut out of the scaled frame; None keeps the frame's size.
        flip: probability of mirroring left and right.
        gamma: smallest and largest exponent.
        brightness: largest shift, as a part of the full range.
        contrast: largest relative change.
        cast: largest relative change of one channel against the others.
        saturation: largest relative change; 0 avoids the costly conversion to HSV.
        light: probability of each of gamma, brightness with contrast, cast and saturation.
        blur: probability of a slight Gaussian blur.

    Raises:
        UserError: the first of two limits is the larger one; at a call, a frame is too small.
    """

    scale: tuple[Zoom, Zoom] = (1.0, 1.0)
    crop: tuple[Side, Side] | None = None
    flip: Share = 0.0
    gamma: tuple[Exponent, Exponent] = (1.0, 1.0)
    brightness: Share = 0.0
    contrast: Share = 0.0
    cast: Share = 0.0
    saturation: Share = 0.0
    light: Share = 0.7
    blur: Share = 0.0
    _pipelines: dict[tuple[int, ...], "tuple[Compose, Compose | None]"] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        for name in ("scale", "gamma"):
            low, high = getattr(self, name)
            if low > high:
                raise UserError(f"augment.{name}=[{low},{high}]: expected the smaller number first")
        # a config gives lists in place of tuples
        for name in ("scale", "gamma", "crop"):
            if (pair := getattr(self, name)) is not None:
                setattr(self, name, tuple(pair))

    def __call__(self, image: Pixels, label: Pixels, seed: int) -> tuple[Pixels, Pixels]:
        """Returns one variation of the frame, the same for the same seed."""
        if self == IDENTITY:
            return image, label
        self._require_pixels(label.shape)
        output = self.crop or label.shape
        channels = image.shape[2]
        key = (*output, channels)
        warp, colouring = self._pipelines.get(key) or self._build(key)
        # set_random_seed would start every transform on the same stream: scale and gamma would
        # move together.
        state = np.random.default_rng(seed), random.Random(seed)
        warp.set_random_state(*state)
        result = warp(image=image, mask=label)
        image, label = result["image"].reshape(*output, channels), result["mask"]
        if colouring is None:
            return image, label
        colouring.set_random_state(*state)
        count = 3 if channels > 3 else 1
        colours = colouring(image=np.ascontiguousarray(show_colours(image)))["image"][..., :count]
        return np.concatenate([colours, image[..., count:]], 2), label

    def _require_pixels(self, shape: tuple[int, ...]) -> None:
        if min(shape) * self.scale[0] < 1:
            raise UserError(
                f"augment.scale=[{self.scale[0]},{self.scale[1]}]: frames of {shape[0]}x{shape[1]} "
                "would shrink to nothing.\naugment=none takes them as they are"
            )

    def _build(self, key: tuple[int, ...]) -> "tuple[Compose, Compose | None]":
        """Returns the pipelines that end in this size and these channels.

        For three channels one pipeline does everything; otherwise a second one changes the colours.
        """
        import albumentations as A

        # Loader workers run in parallel already; OpenCV's threads would only compete for the cores.
        cv2.setNumThreads(0)
        geometry, colour = self._build_geometry(*key), self._build_colour()
        is_rgb = key[-1] == len(IMAGENET_MEAN)
        warp = A.Compose([*geometry, *colour] if is_rgb else geometry)
        pipelines = warp, None if is_rgb or not colour else A.Compose(colour)
        # whole frames may be of any number of sizes
        if len(self._pipelines) == _PIPELINES_KEPT:
            self._pipelines.clear()
        self._pipelines[key] = pipelines
        return pipelines

    def _build_geometry(self, rows: int, columns: int, channels: int) -> "list[BasicTransform]":
        import albumentations as A

        low, high = self.scale
        flip = A.HorizontalFlip(p=self.flip)
        filling = choose_filling(channels)
        # for more channels OpenCV takes a grey value, not a colour
        fill = filling if channels <= OPENCV_CHANNELS else filling[-1]
        if low == high == 1 and self.crop is None:
            return [flip]
        return [
            A.RandomScale(
                scale_limit=(low - 1, high - 1),
                interpolation=cv2.INTER_LINEAR,
                # plain INTER_NEAREST is half a pixel away from INTER_LINEAR
                mask_interpolation=cv2.INTER_NEAREST_EXACT,
                p=1,
            ),
            A.PadIfNeeded(
                rows,
                columns,
                position="random",
                border_mode=cv2.BORDER_CONSTANT,
                fill=fill,
                fill_mask=VOID,
            ),
            A.RandomCrop(rows, columns),
            flip,
        ]

    def _build_colour(self) -> "list[BasicTransform]":
        import albumentations as A

        low, high = self.gamma
        shift, change = self.brightness, self.contrast
        cast = (1 - self.cast, 1 + self.cast)
        candidates = [
            ((low, high) != (1, 1), A.RandomGamma((100 * low, 100 * high), p=self.light)),
            (shift > 0 or change > 0, A.RandomBrightnessContrast(shift, change, p=self.light)),
            (self.cast > 0, A.MultiplicativeNoise(cast, per_channel=True, p=self.light)),
            (
                self.saturation > 0,
                A.ColorJitter((1, 1), (1, 1), self.saturation, (0, 0), p=self.light),
            ),
            (self.blur > 0, A.GaussianBlur((3, 5), p=self.blur)),
        ]
        return [transform for is_on, transform in candidates if is_on]


IDENTITY = Augmentation()

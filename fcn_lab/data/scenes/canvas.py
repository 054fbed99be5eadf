"""The camera and the sheet that it paints on.

World: metres; X to the right of the lane, Y up from the ground, z ahead of the camera. The sheet is
(h,w,4) uint8, red green blue and class id, drawn at OVERSAMPLING times the wanted size so that
edges come out smooth.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fcn_lab.data.classes import CAMVID11
from fcn_lab.pixels import VOID, Pixels

OVERSAMPLING = 2
CLASS_ID = {name: number for number, name in enumerate(CAMVID11)} | {"Void": VOID}
_SUBPIXEL_BITS = 4

Tone = NDArray[np.float64]
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera over a level street; lengths in pixels, its height in metres."""

    focal: float
    horizon: float
    centre: float
    height: float

    def project(self, x: float, y: float, z: float) -> tuple[float, float]:
        """Returns column and row of a world point."""
        scale = self.focal / z
        return self.centre + scale * x, self.horizon + scale * (self.height - y)

    def nearest_depth(self, rows: int) -> float:
        """Returns the depth in metres at which the ground enters the frame."""
        return self.focal * self.height / (rows - self.horizon)


class Canvas:
    """The sheet being painted; later paint covers earlier paint."""

    def __init__(self, rows: int, columns: int, camera: Camera, haze: Tone, fog: float) -> None:
        self.sheet: Pixels = np.zeros((rows, columns, 4), np.uint8)
        self.sheet[..., 3] = VOID
        self.camera = camera
        self._haze = haze
        self._fog = fog

    @property
    def rows(self) -> int:
        """Returns the height of the sheet in pixels."""
        return int(self.sheet.shape[0])

    @property
    def columns(self) -> int:
        """Returns the width of the sheet in pixels."""
        return int(self.sheet.shape[1])

    def fill_polygon(self, points: Points, class_name: str, tone: Tone, z: float = 0.0) -> None:
        """Fills a polygon of (column, row) points, paled by the haze of depth z."""
        corners = np.round(np.asarray(points) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        cv2.fillPoly(self.sheet, [corners], self._paint(class_name, tone, z), shift=_SUBPIXEL_BITS)

    def fill_ellipse(
        self,
        centre: tuple[float, float],
        radii: tuple[float, float],
        class_name: str,
        tone: Tone,
        z: float,
    ) -> None:
        """Fills an upright ellipse given in pixels."""
        box = (centre, (2 * radii[0], 2 * radii[1]), 0.0)
        cv2.ellipse(self.sheet, box, self._paint(class_name, tone, z), cv2.FILLED)

    def fill_quad(
        self, corners: Sequence[tuple[float, float, float]], class_name: str, tone: Tone
    ) -> None:
        """Fills a polygon of world points, with the haze of its middle."""
        depth = sum(corner[2] for corner in corners) / len(corners)
        self.fill_polygon(
            [self.camera.project(*corner) for corner in corners], class_name, tone, depth
        )

    def _paint(self, class_name: str, tone: Tone, z: float) -> tuple[float, ...]:
        transmission = np.exp(-z * self._fog)
        red, green, blue = np.clip(tone * transmission + self._haze * (1 - transmission), 0, 255)
        return float(red), float(green), float(blue), float(CLASS_ID[class_name])


@dataclass(frozen=True)
class Board:
    """An upright sheet in the world at (x, z), facing the camera.

    Flat figures are drawn on it in metres, u right, v up.
    """

    canvas: Canvas
    x: float
    z: float

    def fill_shape(self, points: Points, class_name: str, tone: Tone) -> None:
        """Fills a polygon of points (u, v), in metres."""
        corners = [self.canvas.camera.project(self.x + u, v, self.z) for u, v in points]
        self.canvas.fill_polygon(corners, class_name, tone, self.z)

    def fill_bar(
        self, left: float, low: float, right: float, high: float, class_name: str, tone: Tone
    ) -> None:
        """Fills an upright rectangle, in metres."""
        self.fill_shape([(left, low), (right, low), (right, high), (left, high)], class_name, tone)

    def fill_taper(
        self,
        low: tuple[float, float, float],
        high: tuple[float, float, float],
        class_name: str,
        tone: Tone,
    ) -> None:
        """Fills the area between two level edges, each given as (middle u, half width, v)."""
        (u, half_width, v), (top_u, top_half, top_v) = low, high
        corners = [
            (u - half_width, v),
            (u + half_width, v),
            (top_u + top_half, top_v),
            (top_u - top_half, top_v),
        ]
        self.fill_shape(corners, class_name, tone)

    def fill_disc(
        self, u: float, v: float, radius_u: float, radius_v: float, class_name: str, tone: Tone
    ) -> None:
        """Fills an ellipse, in metres."""
        scale = self.canvas.camera.focal / self.z
        centre = self.canvas.camera.project(self.x + u, v, self.z)
        self.canvas.fill_ellipse(
            centre, (radius_u * scale, radius_v * scale), class_name, tone, self.z
        )

    def visible_width(self, metres: float, pixels: float = 1.0) -> float:
        """Returns a width in metres that covers at least so many pixels of the final picture."""
        return max(metres, pixels * OVERSAMPLING * self.z / self.canvas.camera.focal)

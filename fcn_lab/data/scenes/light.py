"""Turns paint into a photograph: texture, shadow, exposure, colour cast, sensor.

h w: rows and columns of the oversampled sheet.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from fcn_lab.data.classes import CAMVID11
from fcn_lab.pixels import Pixels

_ROUGHNESS = {
    "Sky": 0.01,
    "Building": 0.07,
    "Pole": 0.05,
    "Road": 0.06,
    "Pavement": 0.07,
    "Tree": 0.24,
    "Fence": 0.08,
}
_DEFAULT_ROUGHNESS = 0.05


def roughness_table() -> NDArray[np.float32]:
    """Returns the relative strength of the texture of each id, (256,)."""
    table = np.full(256, _DEFAULT_ROUGHNESS, np.float32)
    for number, name in enumerate(CAMVID11):
        table[number] = _ROUGHNESS.get(name, _DEFAULT_ROUGHNESS)
    return table


def photograph(sheet: Pixels, horizon: float, rng: np.random.Generator) -> Pixels:
    """Returns the lit, textured, noisy picture of a painted sheet; (h,w,4) to (h,w,3) uint8."""
    rows, columns = sheet.shape[:2]
    light = np.ones((rows, columns), np.float32)
    light += roughness_table()[sheet[..., 3]] * _draw_texture(rows, columns, rng)
    light *= _draw_shadows(rows, columns, horizon, rng)
    slope = rng.uniform(-0.25, 0.25)
    # the sun stands to one side
    light *= np.linspace(1 - slope, 1 + slope, columns, dtype=np.float32)
    exposure = rng.uniform(0.6, 1.25)
    cast = exposure * (1 + rng.uniform(-0.12, 0.12, 3).astype(np.float32))
    photo = np.clip(sheet[..., :3] / np.float32(255) * light[..., None] * cast, 0, 1)
    photo = photo ** np.float32(rng.uniform(0.75, 1.35))
    noise = rng.normal(0, rng.uniform(0.004, 0.03), (rows // 2 + 1, columns // 2 + 1, 3)).astype(
        np.float32
    )
    photo += cv2.resize(noise, (columns, rows), interpolation=cv2.INTER_NEAREST)
    return np.asarray(np.clip(photo * 255, 0, 255), np.uint8)


def _draw_texture(rows: int, columns: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Returns noise of three grain sizes, with a variance near 1."""
    total = np.zeros((rows, columns), np.float32)
    for grain in (2, 6, 20):
        noise = rng.standard_normal((rows // grain + 2, columns // grain + 2), np.float32)
        total += cv2.resize(noise, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return total


def _draw_shadows(
    rows: int, columns: int, horizon: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Returns the shade that houses and trees cast on the ground, soft at its edge."""
    shade = np.ones((rows, columns), np.float32)
    depth = float(rng.uniform(0.45, 0.85))
    for _ in range(int(rng.integers(0, 4))):
        top, left = rng.uniform(horizon, rows), rng.uniform(-0.3, 0.9) * columns
        width, height = rng.uniform(0.2, 0.8) * columns, rng.uniform(0.03, 0.25) * rows
        skew = rng.uniform(-0.2, 0.2) * columns
        corners = [
            (left, top),
            (left + width, top),
            (left + width + skew, top + height),
            (left + skew, top + height),
        ]
        cv2.fillPoly(shade, [np.round(corners).astype(np.int32)], depth)
    return cv2.blur(shade, (5, 5)).astype(np.float32)

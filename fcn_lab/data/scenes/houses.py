"""Paints the sides and the end of the street: roofs, house fronts, hedges, fences."""

import numpy as np

from fcn_lab.data.scenes.canvas import Canvas, Tone
from fcn_lab.data.scenes.street import VIEW_METRES, pick_tone

WALLS = [
    (150, 95, 75),
    (190, 175, 150),
    (140, 140, 145),
    (205, 200, 190),
    (110, 95, 85),
    (170, 150, 110),
    (125, 135, 150),
]
FENCES = [(90, 65, 45), (200, 200, 195), (60, 60, 65), (60, 85, 60), (140, 130, 120)]
HEDGES = [(55, 85, 40), (80, 100, 50), (95, 90, 45)]


def paint_backdrop(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paints the far end of the street: roofs and tree tops along the horizon."""
    camera = canvas.camera
    for x in np.arange(-80, 80, 9.0):
        z = rng.uniform(70, VIEW_METRES)
        height = rng.uniform(3, 15)
        wood = rng.random() < 0.45
        colour = pick_tone(rng, HEDGES if wood else WALLS)
        if wood:
            column, row = camera.project(x, height * 0.4, z)
            scale = camera.focal / z
            canvas.fill_ellipse((column, row), (7 * scale, height * 0.6 * scale), "Tree", colour, z)
        else:
            canvas.fill_quad(
                [(x, 0, z), (x + 10, 0, z), (x + 10, height, z), (x, height, z)], "Building", colour
            )


def paint_fronts(canvas: Canvas, side: int, rng: np.random.Generator) -> None:
    """Paints house fronts along one side, -1 left or 1 right, with gaps and windows."""
    near_depth = canvas.camera.nearest_depth(canvas.rows) * 0.7
    x = side * rng.uniform(6.5, 11)
    fronts = []
    z = near_depth
    while z < 70:
        length = rng.uniform(5, 16)
        fronts.append((z, min(z + length, 75.0), rng.uniform(4, 17), rng.random() < 0.78))
        z += length + (rng.uniform(1, 8) if rng.random() < 0.3 else 0)
    for start, end, height, is_house in reversed(fronts):
        colour = pick_tone(rng, WALLS)
        if not is_house:
            _paint_hedge(canvas, x, start, end, rng)
            continue
        depth = x + side * 9
        canvas.fill_quad(
            [(x, 0, end), (depth, 0, end), (depth, height, end), (x, height, end)],
            "Building",
            colour * 0.75,
        )
        canvas.fill_quad(
            [(x, 0, start), (depth, 0, start), (depth, height, start), (x, height, start)],
            "Building",
            colour * 0.8,
        )
        canvas.fill_quad(
            [(x, 0, start), (x, 0, end), (x, height, end), (x, height, start)], "Building", colour
        )
        _paint_windows(canvas, x, (start, end, height), colour, rng)


def _paint_windows(
    canvas: Canvas,
    x: float,
    front: tuple[float, float, float],
    wall: Tone,
    rng: np.random.Generator,
) -> None:
    start, end, height = front
    storey, bay = rng.uniform(2.6, 3.4), rng.uniform(2.2, 3.6)
    glass = pick_tone(rng, [(50, 55, 65), (150, 170, 190), (85, 80, 75), (215, 205, 160)])
    for v in np.arange(1.0, height - 1.6, storey):
        for z in np.arange(start + 0.6, min(end - 1.2, 45), bay):
            width = bay * 0.45
            corners = [(x, v, z), (x, v, z + width), (x, v + 1.5, z + width), (x, v + 1.5, z)]
            canvas.fill_quad(corners, "Building", glass if rng.random() < 0.85 else wall * 0.6)


def _paint_hedge(
    canvas: Canvas, x: float, start: float, end: float, rng: np.random.Generator
) -> None:
    height = rng.uniform(1.2, 3.5)
    colour = pick_tone(rng, HEDGES)
    canvas.fill_quad(
        [(x, 0, start), (x, 0, end), (x, height, end), (x, height, start)], "Tree", colour
    )


def paint_fence(canvas: Canvas, side: int, rng: np.random.Generator) -> None:
    """Paints a fence along one side.

    What shows between its bars is labelled fence, as CamVid's annotators did.
    """
    x = side * rng.uniform(5.0, 6.3)
    start = rng.uniform(4, 20)
    end = start + rng.uniform(6, 25)
    height, colour = rng.uniform(0.9, 1.7), pick_tone(rng, FENCES)
    backing = colour * 0.45 + 45
    canvas.fill_quad(
        [(x, 0, start), (x, 0, end), (x, height, end), (x, height, start)], "Fence", backing
    )
    step = rng.uniform(0.35, 0.8)
    for z in np.arange(start, min(end, 26), step):
        canvas.fill_quad(
            [(x, 0, z), (x, 0, z + step * 0.45), (x, height, z + step * 0.45), (x, height, z)],
            "Fence",
            colour,
        )
    for v in (height * 0.9, height * 0.25):
        canvas.fill_quad(
            [(x, v, start), (x, v, end), (x, v + 0.1, end), (x, v + 0.1, start)], "Fence", colour
        )

"""Places the camera and paints sky and ground."""

import cv2
import numpy as np

from fcn_lab.data.scenes.canvas import CLASS_ID, Camera, Canvas, Tone

HALF_ROAD_METRES = 3.6
VIEW_METRES = 90.0


def pick_tone(
    rng: np.random.Generator, choices: list[tuple[int, int, int]], spread: float = 18.0
) -> Tone:
    """Returns one of some colours, shifted as a whole and a little in each channel."""
    base = np.asarray(choices[rng.integers(len(choices))], np.float64)
    tone: Tone = base + rng.normal(0, spread) + rng.normal(0, spread / 3, 3)
    return tone


SKIES = [(120, 165, 215), (175, 195, 215), (225, 228, 232), (150, 155, 165), (235, 205, 170)]
ASPHALT = [(95, 95, 100), (120, 118, 115), (75, 76, 82), (135, 128, 120)]
PAVING = [(150, 148, 145), (165, 150, 130), (150, 120, 105), (120, 122, 126), (100, 100, 102)]


def paint_sky(canvas: Canvas, sky: Tone, rng: np.random.Generator) -> None:
    """Paints a vertical gradient with soft clouds, down to where the ground ends."""
    end_of_ground = canvas.camera.project(0, 0, VIEW_METRES)[1]
    rows = min(canvas.rows, int(end_of_ground) + 2)
    height = np.linspace(1, 0, rows)[:, None, None]
    clouds = cv2.resize(
        rng.normal(0, 1, (5, 7)), (canvas.columns, rows), interpolation=cv2.INTER_CUBIC
    )
    haze = sky * 0.5 + 122
    colour = haze + (sky - haze) * height + 14 * rng.random() * clouds[..., None]
    canvas.sheet[:rows, :, :3] = np.clip(colour, 0, 255)
    canvas.sheet[:rows, :, 3] = CLASS_ID["Sky"]


def paint_ground(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paints pavement on both sides, and between them the road with its markings."""
    depth = canvas.camera.nearest_depth(canvas.rows) * 0.9
    left, right = HALF_ROAD_METRES + rng.uniform(-0.4, 1.2, 2)
    paving, asphalt = pick_tone(rng, PAVING), pick_tone(rng, ASPHALT)
    _paint_strip(canvas, -60, 60, depth, "Pavement", paving)
    _paint_strip(
        canvas, -left - 0.15, right + 0.15, depth, "Pavement", paving * rng.uniform(0.75, 1.25)
    )
    _paint_strip(canvas, -left, right, depth, "Road", asphalt)
    _paint_patches(canvas, asphalt, depth, rng)
    _paint_markings(canvas, left, right, depth, rng)


def _paint_strip(
    canvas: Canvas, left: float, right: float, depth: float, class_name: str, colour: Tone
) -> None:
    canvas.fill_polygon(
        [
            canvas.camera.project(x, 0, z)
            for x, z in ((left, depth), (right, depth), (right, VIEW_METRES), (left, VIEW_METRES))
        ],
        class_name,
        colour,
    )


def _paint_patches(canvas: Canvas, asphalt: Tone, depth: float, rng: np.random.Generator) -> None:
    """Paints repairs, tyre tracks and shadows on the road, all labelled road."""
    for _ in range(rng.integers(2, 7)):
        x, z = rng.uniform(-3, 2.5), rng.uniform(depth, 25)
        width, length = rng.uniform(0.3, 4), rng.uniform(0.5, 6)
        corners = [
            (x, 0.0, z),
            (x + width, 0.0, z),
            (x + width, 0.0, z + length),
            (x, 0.0, z + length),
        ]
        canvas.fill_quad(corners, "Road", asphalt * rng.uniform(0.72, 1.18))


def _paint_markings(
    canvas: Canvas, left: float, right: float, depth: float, rng: np.random.Generator
) -> None:
    paint = pick_tone(rng, [(225, 225, 220), (205, 195, 150)], 10)
    start, dash, gap = rng.uniform(0, 4), rng.uniform(1.5, 3), rng.uniform(1.5, 4)
    for z in np.arange(depth + start, 55, dash + gap):
        canvas.fill_quad(
            [(-0.07, 0, z), (0.07, 0, z), (0.07, 0, z + dash), (-0.07, 0, z + dash)], "Road", paint
        )
    for edge in (-left + 0.3, right - 0.3):
        if rng.random() < 0.5:
            canvas.fill_quad(
                [(edge, 0, depth), (edge + 0.1, 0, depth), (edge + 0.1, 0, 60), (edge, 0, 60)],
                "Road",
                paint,
            )
    if rng.random() < 0.2:
        crossing = rng.uniform(7, 18)
        for x in np.arange(-left + 0.2, right - 0.5, 0.9):
            corners = [
                (x, 0.0, crossing),
                (x + 0.5, 0.0, crossing),
                (x + 0.5, 0.0, crossing + 2.5),
                (x, 0.0, crossing + 2.5),
            ]
            canvas.fill_quad(corners, "Road", paint)


def place_camera(rows: int, columns: int, rng: np.random.Generator) -> Camera:
    """Returns a camera for a sheet of this size, turned slightly up, down or aside."""
    return Camera(
        focal=columns * rng.uniform(0.75, 1.0),
        horizon=rows * rng.uniform(0.40, 0.52),
        centre=columns * rng.uniform(0.38, 0.62),
        height=rng.uniform(1.5, 2.3),
    )

"""One street scene from one random generator. H W: rows and columns of the finished frame."""

from collections.abc import Callable

import cv2
import numpy as np

from fcn_lab.data.scenes.actors import (
    paint_bicyclist,
    paint_bin,
    paint_car,
    paint_pedestrian,
    paint_pole,
    paint_tree,
)
from fcn_lab.data.scenes.canvas import OVERSAMPLING, Board, Canvas
from fcn_lab.data.scenes.houses import paint_backdrop, paint_fence, paint_fronts
from fcn_lab.data.scenes.light import photograph
from fcn_lab.data.scenes.street import (
    SKIES,
    paint_ground,
    paint_sky,
    pick_tone,
    place_camera,
)
from fcn_lab.pixels import Pixels

Actor = Callable[[Board, np.random.Generator], None]


def render(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Pixels, Pixels]:
    """Returns a photograph (H,W,3) and its labels (H,W), 0..10 or VOID."""
    rows, columns = (side * OVERSAMPLING for side in size)
    sky = pick_tone(rng, SKIES)
    canvas = Canvas(
        rows,
        columns,
        place_camera(rows, columns, rng),
        haze=sky * 0.5 + 122,
        fog=rng.uniform(0.002, 0.015),
    )
    paint_sky(canvas, sky, rng)
    paint_backdrop(canvas, rng)
    paint_ground(canvas, rng)
    for side in (-1, 1):
        paint_fronts(canvas, side, rng)
        if rng.random() < 0.5:
            paint_fence(canvas, side, rng)
    for x, z, actor in sorted(_choose_actors(rng), key=lambda entry: -entry[1]):
        actor(Board(canvas, x, z), rng)
    if rng.random() < 0.3:
        _paint_bonnet(canvas, rng)
    picture = photograph(canvas.sheet, canvas.camera.horizon, rng)
    image = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
    label = canvas.sheet[::OVERSAMPLING, ::OVERSAMPLING, 3]
    return np.asarray(image, np.uint8), np.ascontiguousarray(label)


def _choose_actors(rng: np.random.Generator) -> list[tuple[float, float, Actor]]:
    """Returns the actors with their positions, as (x, z, actor)."""
    plans: list[tuple[Actor, int, tuple[float, float], tuple[float, float]]] = [
        (paint_tree, rng.poisson(2.5), (4.6, 6.2), (8, 40)),
        (paint_pole, rng.poisson(4.5), (3.9, 5.2), (4.5, 20)),
        (paint_car, rng.poisson(1.6), (2.6, 3.2), (5.5, 28)),
        (paint_car, rng.poisson(1.3), (1.2, 1.9), (7, 35)),
        (paint_pedestrian, rng.poisson(3.5), (3.9, 5.8), (4, 18)),
        (paint_pedestrian, rng.poisson(0.5), (0.2, 3.0), (5, 16)),
        (paint_bicyclist, rng.poisson(1.2), (1.5, 3.2), (4.5, 16)),
        (paint_bin, rng.poisson(0.4), (4.2, 5.5), (6, 20)),
    ]
    return [
        (rng.choice((-1, 1)) * rng.uniform(*side_range), float(rng.uniform(*depth_range)), actor)
        for actor, count, side_range, depth_range in plans
        for _ in range(count)
    ]


def _paint_bonnet(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paints the camera's own car along the lower edge, void as in CamVid."""
    centre = (canvas.columns * rng.uniform(0.4, 0.6), canvas.rows * rng.uniform(1.0, 1.04))
    radii = (canvas.columns * rng.uniform(0.3, 0.5), canvas.rows * rng.uniform(0.05, 0.1))
    lacquer = pick_tone(rng, [(40, 42, 45), (120, 40, 40), (150, 150, 155)])
    canvas.fill_ellipse(centre, radii, "Void", lacquer, 0)

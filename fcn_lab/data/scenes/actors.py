"""What stands and moves in the street; each paints itself on an upright Board, in metres."""

import numpy as np

from fcn_lab.data.scenes.canvas import Board, Tone
from fcn_lab.data.scenes.street import pick_tone

BARK = [(80, 65, 50), (105, 90, 75), (60, 55, 50)]
LEAVES = [(50, 85, 35), (75, 105, 50), (100, 110, 45), (135, 110, 50), (45, 65, 45)]
METAL = [(70, 72, 75), (130, 132, 135), (50, 70, 55), (165, 165, 160)]
SIGNS = [(190, 35, 35), (35, 70, 165), (225, 220, 215), (215, 180, 40), (45, 120, 70)]
LACQUER = [
    (150, 30, 30),
    (35, 50, 110),
    (200, 200, 205),
    (40, 42, 45),
    (120, 125, 130),
    (60, 95, 70),
    (190, 160, 60),
]
CLOTHES = [
    (45, 45, 55),
    (110, 50, 45),
    (60, 80, 130),
    (150, 145, 140),
    (90, 100, 70),
    (200, 195, 190),
    (160, 110, 60),
]
SKIN = [(205, 165, 140), (150, 110, 85), (95, 70, 55)]


def paint_tree(board: Board, rng: np.random.Generator) -> None:
    """Paints a trunk and a crown of overlapping balls of leaves."""
    height = rng.uniform(4, 9)
    width = board.visible_width(rng.uniform(0.15, 0.35), 0.8)
    board.fill_bar(-width / 2, 0, width / 2, height * 0.6, "Tree", pick_tone(rng, BARK))
    leaves = pick_tone(rng, LEAVES)
    spread = height * rng.uniform(0.2, 0.33)
    for _ in range(rng.integers(7, 14)):
        u, v = np.clip(rng.normal(0, 0.55, 2), -0.9, 0.9) * spread + (0, height * 0.68)
        radius = spread * rng.uniform(0.3, 0.65)
        board.fill_disc(
            u, v, radius, radius * rng.uniform(0.7, 1), "Tree", leaves * rng.uniform(0.65, 1.3)
        )


def paint_pole(board: Board, rng: np.random.Generator) -> None:
    """Paints a thin pole: bare, or with a lamp, a traffic sign or traffic lights."""
    metal = pick_tone(rng, METAL)
    height = rng.choice([2.6, 3.2, 5.5, 7.0]) * rng.uniform(0.9, 1.1)
    half_width = board.visible_width(rng.uniform(0.12, 0.22), 1.6) / 2
    board.fill_bar(-half_width, 0, half_width, height, "Pole", metal)
    if height > 4.5:
        if rng.random() < 0.7:
            arm = -np.sign(board.x) * rng.uniform(0.8, 1.8)
            low = height - board.visible_width(0.12)
            board.fill_bar(min(0, arm), low, max(0, arm), height, "Pole", metal)
        return
    figure = rng.random()
    if figure < 0.4:
        _paint_plate(board, height, rng)
    elif figure < 0.7:
        _paint_traffic_light(board, height, rng)


def _paint_plate(board: Board, height: float, rng: np.random.Generator) -> None:
    colour, edge = pick_tone(rng, SIGNS), pick_tone(rng, SIGNS)
    radius = rng.uniform(0.4, 0.65)
    corners = int(rng.choice([3, 4, 24]))
    turn = np.pi / 2 if corners == 3 else np.pi / 4
    angles = turn + np.arange(corners) * 2 * np.pi / corners
    for size, paint in ((radius, edge), (radius * 0.7, colour)):
        points = [(float(size * np.cos(a)), float(height - 0.2 + size * np.sin(a))) for a in angles]
        board.fill_shape(points, "SignSymbol", paint)


def _paint_traffic_light(board: Board, height: float, rng: np.random.Generator) -> None:
    board.fill_bar(
        -0.25,
        height - 1.1,
        0.25,
        height,
        "SignSymbol",
        pick_tone(rng, [(35, 38, 40), (60, 60, 30)], 8),
    )
    lamp_number = rng.integers(3)
    for number, lamp in enumerate(((200, 40, 30), (220, 160, 30), (40, 190, 90))):
        strength = 1.0 if number == lamp_number else 0.3
        glow = np.asarray(lamp, np.float64) * strength
        board.fill_disc(0, height - 0.2 - 0.3 * number, 0.11, 0.11, "SignSymbol", glow)


def paint_car(board: Board, rng: np.random.Generator) -> None:
    """Paints a car, van or lorry seen from behind or ahead.

    The shadow under it is labelled as the road it lies on.
    """
    lacquer, glass = pick_tone(rng, LACQUER), pick_tone(rng, [(45, 50, 60), (120, 135, 150)])
    is_tall = rng.random() < 0.2
    half_width, height = (
        (1.05, rng.uniform(2.1, 3.2)) if is_tall else (0.88, rng.uniform(1.35, 1.6))
    )
    board.fill_disc(0, 0.02, half_width * 1.15, 0.12, "Road", np.full(3, 35.0))
    for wheel in (-half_width + 0.15, half_width - 0.15):
        board.fill_bar(wheel - 0.14, 0, wheel + 0.14, 0.5, "Car", np.full(3, 25.0))
    waist = height * 0.58
    board.fill_bar(-half_width, 0.22, half_width, waist, "Car", lacquer)
    inset = 0.06 if is_tall else 0.2
    board.fill_taper((0, half_width, waist), (0, half_width - inset, height), "Car", lacquer * 0.9)
    board.fill_taper(
        (0, half_width - 0.1, waist), (0, half_width - inset - 0.1, height * 0.93), "Car", glass
    )
    lamp = pick_tone(rng, [(210, 40, 30), (240, 235, 215)], 8)
    for u in (-half_width + 0.05, half_width - 0.3):
        board.fill_bar(u, waist - 0.22, u + 0.25, waist - 0.06, "Car", lamp)
    board.fill_bar(
        -0.26, 0.4, 0.26, 0.52, "Car", pick_tone(rng, [(225, 225, 215), (220, 200, 80)], 6)
    )


def paint_pedestrian(board: Board, rng: np.random.Generator) -> None:
    """Paints a walker; one in six is a child."""
    size = rng.uniform(0.9, 1.06) * (0.65 if rng.random() < 1 / 6 else 1)
    top, legs = pick_tone(rng, CLOTHES), pick_tone(rng, CLOTHES)
    _paint_person(board, 0.0, 0.85 * size, size, "Pedestrian", top)
    stride = rng.uniform(0.0, 0.22) * size
    width = board.visible_width(0.14 * size, 0.7)
    for foot in (-stride, stride):
        board.fill_taper((foot, width / 2, 0), (0, width / 2, 0.88 * size), "Pedestrian", legs)


def paint_bicyclist(board: Board, rng: np.random.Generator) -> None:
    """Paints a rider seen from behind or from the side.

    Bicycle, rider and what shows through the wheels are one class.
    """
    top, frame = pick_tone(rng, CLOTHES), pick_tone(rng, METAL)
    is_sideways = rng.random() < 0.35
    width = board.visible_width(0.08, 0.8)
    if is_sideways:
        for wheel in (-0.5, 0.5):
            board.fill_disc(wheel, 0.34, 0.34, 0.34, "Bicyclist", np.full(3, 40.0))
            board.fill_disc(wheel, 0.34, 0.27, 0.27, "Bicyclist", frame * 0.5 + 50)
        board.fill_shape(
            [(-0.5, 0.3), (0.0, 0.3), (0.5, 0.75), (0.4, 0.85), (-0.2, 0.8)], "Bicyclist", frame
        )
    else:
        board.fill_bar(-width, 0, width, 0.75, "Bicyclist", np.full(3, 40.0))
        board.fill_bar(-0.28, 0.95, 0.28, 0.95 + width, "Bicyclist", frame)
    for side in (-0.12, 0.12):
        board.fill_bar(side - 0.07, 0.25, side + 0.07, 0.95, "Bicyclist", pick_tone(rng, CLOTHES))
    _paint_person(board, 0.05, 0.9, 0.95, "Bicyclist", top)


def paint_bin(board: Board, rng: np.random.Generator) -> None:
    """Paints street furniture that CamVid has no class for, as void."""
    board.fill_bar(-0.3, 0, 0.3, rng.uniform(0.8, 1.2), "Void", pick_tone(rng, [*METAL, *LACQUER]))


def _paint_person(
    board: Board, lean: float, hips: float, size: float, class_name: str, clothes: Tone
) -> None:
    """Paints trunk and head above the hips."""
    half_width = board.visible_width(0.46 * size, 1.2) / 2
    shoulders = hips + 0.58 * size
    board.fill_taper(
        (0, half_width * 0.8, hips - 0.05), (lean, half_width, shoulders), class_name, clothes
    )
    skin = np.asarray(SKIN[int(clothes.sum()) % len(SKIN)], np.float64)
    board.fill_disc(lean, shoulders + 0.14 * size, 0.11 * size, 0.15 * size, class_name, skin)

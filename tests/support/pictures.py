"""Pictures of every kind, made byte by byte where no library writes them, with what they show.

Legend: H W rows and columns, C channels.
"""

import io
import os
import socket
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
SIZE = (24, 32)
ORIENTATIONS = range(1, 9)


def truth() -> Pixels:
    """A picture (H,W,3) with every value from black to white, and no symmetry."""
    ramp = np.linspace(0, 255, SIZE[0] * SIZE[1]).reshape(SIZE)
    return np.stack([ramp, ramp[::-1], np.roll(ramp, 7, 1)], -1).round().astype(np.uint8)


RGB = truth()
GREY = RGB[..., 0]


@dataclass(frozen=True)
class Case:
    """A file and what it shows.

    Attributes:
        name: the file's
        content: its bytes
        shows: (H,W,3), upright
    """

    name: str
    content: bytes
    shows: Pixels


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    """As Pillow writes it."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def npy(values: NDArray[Any]) -> bytes:
    """As NumPy writes it."""
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def by_opencv(pixels: NDArray[Any], ending: str) -> bytes:
    """As OpenCV writes it; (H,W), or RGB in front."""
    order = [2, 1, 0, 3][: pixels.shape[-1]] if pixels.ndim == 3 else slice(None)
    return bytes(cv2.imencode(ending, pixels[..., order] if pixels.ndim == 3 else pixels)[1])


def png(
    samples: NDArray[np.uint16],
    kind: int,
    chunks: Sequence[tuple[bytes, bytes]] = (),
    size: tuple[int, int] | None = None,
) -> bytes:
    """16 bits a channel, (H,W,C); kind 0 grey, 2 RGB, 4 grey and alpha, 6 RGB and alpha.

    `size` is a lie.
    """
    height, width = size or samples.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in samples.astype(">u2"))
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)),
        *chunks,
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


def tiff(
    samples: NDArray[Any], order: str = "<", planar: bool = False, **changes: int | bytes
) -> bytes:
    """Uncompressed, (H,W) or (H,W,C), in planes or not; `changes` such as ``t274=6`` set tags."""
    stored = np.ascontiguousarray(samples).astype(samples.dtype.newbyteorder(order))
    height, width = stored.shape[:2]
    count = stored.shape[2] if stored.ndim == 3 else 1
    sample = {"u": 1, "i": 2, "f": 3}[stored.dtype.kind]
    data = (stored.transpose(2, 0, 1) if planar else stored).tobytes()
    strips = count if planar else 1
    starts = tuple(8 + strip * len(data) // strips for strip in range(strips))
    tags = {
        **{256: (width,), 257: (height,), 258: (8 * stored.itemsize,) * count, 259: (1,)},
        **{262: (2 if count >= 3 else 1,), 273: starts, 277: (count,), 278: (height,)},
        **{279: (len(data) // strips,) * strips, 284: (1 + planar,), 339: (sample,) * count},
        **({338: (2,)} if count in (2, 4) else {}),
        **{int(t[1:]): v if isinstance(v, bytes) else (v,) for t, v in changes.items()},
    }
    start = 8 + len(data) + len(data) % 2
    behind = start + 2 + 12 * len(tags) + 4
    entries, extra = b"", b""
    for tag, values in sorted(tags.items()):
        kind, letter = (1, "B") if isinstance(values, bytes) else (4, "I")
        raw = struct.pack(order + letter * len(values), *values)
        entries += struct.pack(order + "HHI", tag, kind, len(values))
        if len(raw) > 4:
            entries += struct.pack(order + "I", behind + len(extra))
            extra += raw
        else:
            entries += raw
    magic = b"II*\0" if order == "<" else b"MM\0*"
    head = (magic + struct.pack(order + "I", start) + data).ljust(start, b"\0")
    return head + struct.pack(order + "H", len(tags)) + entries + b"\0\0\0\0" + extra


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    return found


def xmp(orientation: int) -> bytes:
    """What editors write that keep the orientation in XMP alone."""
    return b'<x:xmpmeta><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>' % orientation


def stored(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """What a camera that was held so writes of an upright picture: EXIF's own table, undone."""
    undo: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1),
        6: lambda p: np.rot90(p, 1),
        7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
        8: lambda p: np.rot90(p, -1),
    }
    return np.ascontiguousarray(undo[orientation](pixels))


def grey(pixels: NDArray[Any]) -> Pixels:
    """(H,W) as RGB."""
    return np.repeat(np.asarray(pixels, np.uint8)[..., None], 3, -1)


def scaled(values: NDArray[Any], largest: float) -> Pixels:
    """Values of this range in eight bits, by division and rounding."""
    return np.floor(values.astype(np.float64) / largest * 255 + 0.5).astype(np.uint8)


def sound() -> Iterator[Case]:
    """Every kind of file that is read."""
    yield from _shallow()
    yield from _deep()
    yield from _turned()


def _shallow() -> Iterator[Case]:
    rgb = Image.fromarray(RGB)
    for kind in ("png", "bmp", "tiff", "ppm"):
        yield Case(f"rgb.{kind}", encoded(rgb, kind), RGB)
    yield Case("rgb.webp", encoded(rgb, "webp", lossless=True), RGB)
    lossy = encoded(rgb, "jpeg", quality=95)
    shown = np.asarray(Image.open(io.BytesIO(lossy)))
    yield Case("rgb.jpg", lossy, shown)
    both = encoded(rgb, "mpo", save_all=True, append_images=[Image.new("RGB", (8, 8))], quality=95)
    yield Case("two_eyes.mpo", both, np.asarray(Image.open(io.BytesIO(both)).convert("RGB")))
    few = rgb.quantize(16)
    for kind in ("png", "gif", "bmp", "tiff"):
        yield Case(f"palette.{kind}", encoded(few, kind), np.asarray(few.convert("RGB")))
    # a palette that was written with 8 bits where the format has 16
    file, entries = encoded(few, "tiff"), few.getpalette() or []
    planes = np.resize(np.array(entries + [0] * (768 - len(entries)), "<u2"), (256, 3)).T
    wide_palette = (planes * 256).astype("<u2").tobytes()
    assert wide_palette in file
    narrow = file.replace(wide_palette, planes.astype("<u2").tobytes())
    yield Case("palette_8.tiff", narrow, np.asarray(few.convert("RGB")))
    yield Case("clear.png", encoded(few, "png", transparency=3), np.asarray(few.convert("RGB")))
    yield Case("clear.gif", encoded(few, "gif", transparency=3), np.asarray(few.convert("RGB")))
    alpha = Image.fromarray(RGB[..., 1])
    for kind in ("png", "tiff"):
        mixed = rgb.copy()
        mixed.putalpha(alpha)
        yield Case(f"rgba.{kind}", encoded(mixed, kind), RGB)
        plain = Image.fromarray(GREY)
        yield Case(f"grey.{kind}", encoded(plain, kind), grey(GREY))
        plain.putalpha(alpha)
        yield Case(f"grey_alpha.{kind}", encoded(plain, kind), grey(GREY))
        bits = Image.fromarray(GREY > 99)
        yield Case(f"bits.{kind}", encoded(bits, kind), grey(255 * (GREY > 99)))
    ink = np.concatenate([255 - RGB, np.full((*SIZE, 1), 51, np.uint8)], -1)
    paper = scaled(RGB * ((255 - 51) / 255), 255)
    yield Case("cmyk.tiff", encoded(Image.fromarray(ink, "CMYK"), "tiff"), paper)


def _deep() -> Iterator[Case]:
    rgb, alpha = RGB.astype(np.uint16), np.full((*SIZE, 1), 40000, np.uint16)
    for bits, factor, largest in ((16, 257, 65535), (12, 16, 4095), (8, 1, 255)):
        values, shows = rgb * factor, scaled(rgb * factor, largest)
        name, first = f"{bits}_in_16", values[..., 0]
        yield Case(f"{name}.png", png(first[..., None], 0), grey(shows[..., 0]))
        yield Case(f"{name}_rgb.png", png(values, 2), shows)
        yield Case(f"{name}_rgba.png", png(np.concatenate([values, alpha], -1), 6), shows)
        both = np.stack([first, alpha[..., 0]], -1)
        yield Case(f"{name}_la.png", png(both, 4), grey(shows[..., 0]))
        yield Case(f"{name}.pgm", by_opencv(first, ".pgm"), grey(shows[..., 0]))
        yield Case(f"{name}_rgb.ppm", by_opencv(values, ".ppm"), shows)
        yield Case(f"{name}_lzw.tiff", by_opencv(values, ".tiff"), shows)
        yield Case(f"{name}_int32.tiff", tiff(first.astype(np.int32)), grey(shows[..., 0]))
        for order, word in (("<", "le"), (">", "be")):
            yield Case(f"{name}_{word}.tiff", tiff(first, order), grey(shows[..., 0]))
            yield Case(f"{name}_rgb_{word}.tiff", tiff(values, order), shows)
    for largest in (1, 255, 4095, 65535):
        values = RGB / 255 * largest
        for kind in (np.float32, np.float64):
            name = f"float{np.dtype(kind).itemsize * 8}_{largest}"
            yield Case(f"{name}.tiff", tiff(values[..., 0].astype(kind)), grey(GREY))
            yield Case(f"{name}_rgb.tiff", tiff(values.astype(kind)), RGB)
    declared = GREY.astype(np.uint16) * 4
    text = f"P2 {SIZE[1]} {SIZE[0]} 1023\n" + " ".join(map(str, declared.ravel()))
    yield Case("declared.pgm", text.encode(), grey(scaled(declared, 1023)))
    raw = f"P5 {SIZE[1]} {SIZE[0]} 1023\n".encode() + (declared // 16).astype(">u2").tobytes()
    yield Case("declared_dark.pgm", raw, grey(scaled(declared // 16, 1023)))


def _turned() -> Iterator[Case]:
    for number in ORIENTATIONS:
        held = stored(RGB, number)
        wide = stored(RGB.astype(np.uint16) * 16, number)
        for kind in ("png", "webp", "tiff"):
            options: dict[str, Any] = {"lossless": True} if kind == "webp" else {}
            file = encoded(Image.fromarray(held), kind, exif=exif(number), **options)
            yield Case(f"held_{number}.{kind}", file, RGB)
        note = exif(number).tobytes().removeprefix(b"Exif\0\0")
        shows = scaled(RGB.astype(np.uint16) * 16, 4095)
        yield Case(f"held_{number}_12.png", png(wide, 2, [(b"eXIf", note)]), shows)
        single = png(wide[..., :1], 0, [(b"eXIf", note)])
        yield Case(f"held_{number}_12_grey.png", single, grey(shows[..., 0]))
        yield Case(f"held_{number}_12.tiff", tiff(wide, t274=number), shows)
        single = tiff(wide[..., 0], t274=number)
        yield Case(f"held_{number}_12_grey.tiff", single, grey(shows[..., 0]))
    held = stored(RGB, 6)
    yield Case("xmp_6.tiff", tiff(held, t700=xmp(6)), RGB)
    yield Case("xmp_6_12.tiff", tiff(held.astype(np.uint16) * 257, t700=xmp(6)), RGB)
    yield Case("xmp_6.webp", encoded(Image.fromarray(held), "webp", xmp=xmp(6), lossless=True), RGB)
    yield Case("xmp_6_tag_1.tiff", tiff(RGB, t700=xmp(6), t274=1), RGB)


def refused(folder: Path) -> dict[Path, str]:
    """Files that are not read → what is said of each."""
    rgb, wide = Image.fromarray(RGB), RGB.astype(np.uint16) * 257
    other = Image.fromarray(255 - RGB)
    several: dict[str, Any] = {"save_all": True, "append_images": [other]}
    contents = {
        "moving.gif": (encoded(rgb, "gif", **several), "holds 2 pictures"),
        "moving.png": (encoded(rgb, "png", **several), "holds 2 pictures"),
        "moving.webp": (encoded(rgb, "webp", **several), "holds 2 pictures"),
        "pages.tiff": (encoded(rgb, "tiff", **several), "holds 2 pictures"),
        "empty.png": (b"", "it is empty"),
        "text.png": (b"<html>404</html>", "no picture format that is read here"),
        "drawn.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture format"),
        "texture.ftc": (b"FTEX" + bytes(60), "no picture format"),
        "layers.psd": (b"8BPS\0\1" + bytes(60), "no picture format"),
        "targa.tga": (encoded(rgb, "tga"), "no picture format"),
        "cut.png": (encoded(rgb, "png")[:-60], "truncated or corrupt"),
        "cut_16.png": (png(wide, 2)[:-60], "truncated or corrupt"),
        "cut_16.tiff": (tiff(wide)[:-60], "its tags lie outside the file"),
        "strip.tiff": (tiff(wide, t273=9000), "its pixels lie outside the file"),
        "bomb.png": (png(wide, 2, size=(60000, 60000)), "60000x60000 pixels, more than"),
        "bomb.tiff": (tiff(wide, t256=60000, t257=60000), "60000x60000 pixels, more than"),
        "nothing.tiff": (tiff(wide, t256=0), "is 0x24 pixels"),
        "white_is_zero.tiff": (tiff(wide[..., 0], t262=0), "photometric 0"),
        "planes.tiff": (tiff(wide, t284=2), "in planes"),
        "grey_alpha_16.tiff": (tiff(wide[..., :2]), "2 x 16 bits"),
        "negative.tiff": (tiff(GREY.astype(np.int16) - 9), "from -9"),
        "large.tiff": (tiff(GREY.astype(np.uint32) * 1000), "to 255000"),
        "hdr.tiff": (tiff(GREY.astype(np.float32) * 1000), "to 255000"),
        "nan.tiff": (tiff(np.where(GREY > 9, GREY, np.nan).astype(np.float32)), "no numbers"),
        "two.npy": (npy(RGB[..., :2]), "has 2 channels, expected 3"),
        "seven.npy": (npy(np.zeros((4, 4, 7), np.uint8)), "has 7 channels, expected 3"),
        "half.tiff": (tiff(RGB.astype(np.float16)), "truncated or corrupt|cannot be decoded"),
    }  # fmt: skip
    found: dict[Path, str] = {}
    for name, (content, says) in contents.items():
        (folder / name).write_bytes(content)
        found[folder / name] = says
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(folder)  # a socket's path has at most a hundred characters
        listening.bind("socket.png")
        os.chdir(here)
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "endless.png").symlink_to("/dev/zero")
    kinds = {"folder": "is a folder", "pipe": "a pipe", "socket": "a pipe", "endless": "a pipe"}
    kinds["gone"] = "cannot be read"
    return found | {folder / f"{name}.png": text for name, text in kinds.items()}

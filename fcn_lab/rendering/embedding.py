"""Pictures inside a page: encoded, and written into it as data URLs."""

import io
from base64 import b64encode
from dataclasses import dataclass

from PIL import Image

from fcn_lab.pixels import Pixels


@dataclass(frozen=True)
class EmbeddedPicture:
    """A picture as a data URL with its alternative text."""

    source: str
    alt: str

    @classmethod
    def encode(cls, pixels: Pixels, alt: str, kind: str, **options: int) -> "EmbeddedPicture":
        """Encodes pixels (H,W,3); `kind` and `options` as `encode_picture` takes them."""
        content = encode_picture(Image.fromarray(pixels), kind, **options)
        return cls(format_url(content, kind), alt)


def encode_picture(image: Image.Image, kind: str, **options: int) -> bytes:
    """Returns the content of a picture's file, "png" or "jpeg", with Pillow's options for it."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def format_url(content: bytes, kind: str) -> str:
    """Returns the data URL of a picture's file."""
    return f"data:image/{kind};base64,{b64encode(content).decode()}"

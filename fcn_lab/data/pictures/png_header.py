"""Looks at the chunks of a PNG file without decoding its picture."""

import struct
from typing import BinaryIO

_SIGNATURE_BYTES, _CHECKSUM_BYTES = 8, 4
# the length and the kind of a chunk
_HEAD = struct.Struct(">I4s")
# chunks that may hold an orientation: EXIF itself, and texts with a profile or XMP
_TEXTS = frozenset([b"eXIf", b"tEXt", b"zTXt", b"iTXt"])


def has_late_text(file: BinaryIO) -> bool:
    """Returns whether metadata stand behind the first pixels, where a reader comes last.

    The file's position stays where it was.
    """
    place, is_behind_pixels = file.tell(), False
    file.seek(_SIGNATURE_BYTES)
    try:
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            length, kind = _HEAD.unpack(head)
            if is_behind_pixels and kind in _TEXTS:
                return True
            is_behind_pixels |= kind == b"IDAT"
            file.seek(length + _CHECKSUM_BYTES, 1)
        return False
    finally:
        file.seek(place)

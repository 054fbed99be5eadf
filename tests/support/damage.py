"""Ways in which a file is spoilt: by a disk, by a copy that was cut short, by a hand."""

import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path


def truncated(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) or 1)]


def zeroed(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) or 1)
    count = min(rng.randrange(1, 4096), len(content) - start)
    return content[:start] + bytes(count) + content[start + count :]


def flipped(content: bytes, rng: random.Random, bits: int = 1) -> bytes:
    spoilt = bytearray(content)
    for _ in range(bits if content else 0):
        bit = rng.randrange(8 * len(spoilt))
        spoilt[bit // 8] ^= 1 << bit % 8
    return bytes(spoilt)


def riddled(content: bytes, rng: random.Random) -> bytes:
    return flipped(content, rng, 40)


def shuffled(content: bytes, rng: random.Random) -> bytes:
    """Blocks of a disk in another order."""
    blocks = [content[at : at + 64] for at in range(0, len(content), 64)]
    rng.shuffle(blocks)
    return b"".join(blocks)


def renumbered(content: bytes, rng: random.Random) -> bytes:
    """A number of a text becomes one that nobody means."""
    found = list(re.finditer(rb"\d+(\.\d+)?", content))
    if not found:
        return content
    number, odd = rng.choice(found), rng.choice(ODD)
    return content[: number.start()] + odd + content[number.end() :]


def retyped(content: bytes, rng: random.Random) -> bytes:
    """The whole becomes something else."""
    return rng.choice(WHOLES)


ODD = (
    *(b"NaN", b"-1", b"1e999", b"-Infinity", b"1" * 5000, b"null", b'"x"', b"[]", b"{}", b".nan"),
    *(b"1e300", b"0", b"", b"1_0"),
)
WHOLES = (
    *(b"", b"[]", b"{}", b"3", b"null", b'"text"', b"\n\n", b"\xff\xfe\x00", b"a,b\n1\n", b"a: [1"),
    *(b"PK\x03\x04", b"\x00" * 5000, b"[" * 100_000, b"epoch,seconds\nx,y\n", b"true", b"nan"),
)
KINDS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(truncated, zeroed, flipped, riddled, shuffled, renumbered, retyped),
)


def spoil(path: Path, rng: random.Random) -> str:
    """Spoils a file, or puts something else in its place; says how."""
    if rng.random() < 0.1:
        path.unlink()
        path.mkdir()
        return "a folder"
    if rng.random() < 0.1:
        kept = path.rename(path.with_name(f"{path.name}.moved"))
        path.symlink_to(kept)
        return "a link"
    kind = rng.choice(KINDS)
    path.write_bytes(kind(path.read_bytes(), rng))
    return kind.__name__


def remove(path: Path) -> None:
    """Whatever it is."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

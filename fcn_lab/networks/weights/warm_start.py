"""A network that starts from the weights of an earlier run, part by part, by name.

The climbs of an FCN are named by where they stand in its climb from /32 to the image, so that steps
of two find each other across strides: the second step of FCN-32s's last climb is the first step of
FCN-16s's. Climbs in one leap, ×32 and ×16, are different kernels and do not.

What the finer net then reproduces of the coarser one, as long as its new score layers are zero
(Long, Shelhamer, Darrell 2015, section 4.2: nets are "initialized from the coarser"):

* its scores: ``coarse_scores`` returns exactly one climb ×2 of what the coarser net's returns;
* its output: exactly where the climbs compose, ×f = ×(f/2) ∘ ×2. They do for all operators that
  climb in twos (``refine=conv``, and carafe), and for nearest, max-unpooling and bed of nails on
  their own. They do not for kernels that overlap: bilinear ×16 of bilinear ×2 is not bilinear ×32.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fcn_lab.encoders.base import LEVELS

SKIP = re.compile(r"score_pool(\d)\.")
STEP = re.compile(r"(upscore\w*)\.(steps|blurs)\.(\d+)\.(.+)")


@dataclass(frozen=True)
class Transplant:
    """The result of copying a run's tensors into another network, by tensor name.

    Args:
        taken: names here.
        fresh: names here that found nothing there and keep their own start.
        unfit: names here with both shapes, there and here; they keep their own start too.
        left: names there that found no place here.
        taken_params: number of parameters taken over.
        params: number of parameters here.
    """

    taken: list[str]
    fresh: list[str]
    unfit: dict[str, tuple[list[int], list[int]]]
    left: list[str]
    taken_params: int
    params: int

    def describe(self) -> list[str]:
        """Returns lines that name every tensor that was not taken over."""
        shapes = [
            f"{name} ({there} there, {here} here)" for name, (there, here) in self.unfit.items()
        ]
        others = {
            "new here": self.fresh,
            "of another shape": shapes,
            "left behind": self.left,
        }
        return [
            f"{self.taken_params:,} of {self.params:,} parameters taken over",
            *(f"  {why}: {', '.join(names)}" for why, names in others.items() if names),
        ]


def transplant(net: nn.Module, state: Mapping[str, Tensor]) -> Transplant:
    """Copies into `net` every tensor of another network's state that has its name and shape."""
    ours = net.state_dict()
    params = {name: parameter.numel() for name, parameter in net.named_parameters()}
    places = {place: name for name, place in find_places(ours).items()}
    there = {place: state[name] for name, place in find_places(state).items()}
    shared = [place for place in places if place in there]
    fitting = {
        places[place]: there[place]
        for place in shared
        if there[place].shape == ours[places[place]].shape
    }
    with torch.no_grad():
        for name, tensor in fitting.items():
            ours[name].copy_(tensor)
    return Transplant(
        taken=list(fitting),
        fresh=[name for place, name in places.items() if place not in there],
        unfit={
            places[place]: (list(there[place].shape), list(ours[places[place]].shape))
            for place in shared
            if places[place] not in fitting
        },
        left=[name for name, place in find_places(state).items() if place not in places],
        taken_params=sum(params.get(name, 0) for name in fitting),
        params=sum(params.values()),
    )


def find_places(names: Iterable[str]) -> dict[str, str]:
    """Returns each name's place: the name itself, except for the steps of an FCN's climbs."""
    names = list(names)
    levels = sorted({int(m[1]) for m in map(SKIP.match, names) if m}, reverse=True)
    climbs = ["upscore2", *(f"upscore_pool{level}" for level in levels)][: len(levels)]
    last = [int(m[3]) for m in map(STEP.fullmatch, names) if m and m[1] == "upscore"]
    starts = {climb: number for number, climb in enumerate(climbs)}
    # its steps are all of two
    if last and max(last) + 1 == LEVELS - len(levels):
        starts["upscore"] = len(levels)

    def place(name: str) -> str:
        step = STEP.fullmatch(name)
        if step is None:
            return name
        climb, kind, number, rest = step.groups()
        if climb not in starts:
            return f"leap.{len(levels)}.{kind}.{number}.{rest}"
        return f"climb.{starts[climb] + int(number)}.{kind}.{rest}"

    return {name: place(name) for name in names}

"""Starts a network from the weights of an earlier run, part by part, by name.

The climbs of an FCN are named by their place on the way from /32 to the image, so that steps of two
match across strides: the second step of FCN-32s's last climb is the first step of FCN-16s's. Climbs
in one leap, ×32 and ×16, are different kernels and do not match.

As long as its new score layers are zero, the finer net reproduces of the coarser one (Long,
Shelhamer, Darrell 2015, section 4.2: nets are "initialized from the coarser"):

* its scores: ``coarse_scores`` returns exactly one climb ×2 of what the coarser net's returns;
* its output: exactly where the climbs compose, ×f = ×(f/2) ∘ ×2. They do for all operators that
  climb in twos (any ``refine`` but ``none``, and carafe), and for nearest, max-unpooling and bed of
  nails on their own. They do not for kernels that overlap: bilinear ×16 of bilinear ×2 is not
  bilinear ×32.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fcn_lab.encoders.base import LEVELS

SKIP = re.compile(r"score_pool(\d)\.")
STEP = re.compile(r"(upscore\w*)\.(preblurs|steps|blurs)\.(\d+)\.(.+)")


@dataclass(frozen=True)
class Transplant:
    """The result of copying a run's tensors into another network, by tensor name.

    Args:
        copied_names: names of the network's tensors that were copied.
        new_names: names of its tensors that the run lacks; these keep their initial values.
        unfit_shapes: names of its tensors that differ in shape, with the run's shape and its own;
            these keep their initial values, too.
        unused_names: names of the run's tensors that the network lacks.
        copied_params: number of parameters copied.
        params: number of the network's parameters.
    """

    copied_names: list[str]
    new_names: list[str]
    unfit_shapes: dict[str, tuple[list[int], list[int]]]
    unused_names: list[str]
    copied_params: int
    params: int

    def describe(self) -> list[str]:
        """Returns lines that name every tensor that was not taken over."""
        shapes = [
            f"{name} ({source_shape} there, {own_shape} here)"
            for name, (source_shape, own_shape) in self.unfit_shapes.items()
        ]
        others = {
            "new here": self.new_names,
            "of another shape": shapes,
            "left behind": self.unused_names,
        }
        return [
            f"{self.copied_params:,} of {self.params:,} parameters taken over",
            *(f"  {heading}: {', '.join(names)}" for heading, names in others.items() if names),
        ]


def transplant(net: nn.Module, state: Mapping[str, Tensor]) -> Transplant:
    """Copies into `net` every tensor of another network's state that has its name and shape."""
    own_state = net.state_dict()
    params = {name: parameter.numel() for name, parameter in net.named_parameters()}
    places = {place: name for name, place in find_places(own_state).items()}
    tensors = {place: state[name] for name, place in find_places(state).items()}
    shared_places = [place for place in places if place in tensors]
    copies = {
        places[place]: tensors[place]
        for place in shared_places
        if tensors[place].shape == own_state[places[place]].shape
    }
    with torch.no_grad():
        for name, tensor in copies.items():
            own_state[name].copy_(tensor)
    return Transplant(
        copied_names=list(copies),
        new_names=[name for place, name in places.items() if place not in tensors],
        unfit_shapes={
            places[place]: (list(tensors[place].shape), list(own_state[places[place]].shape))
            for place in shared_places
            if places[place] not in copies
        },
        unused_names=[name for name, place in find_places(state).items() if place not in places],
        copied_params=sum(params.get(name, 0) for name in copies),
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

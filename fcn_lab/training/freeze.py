"""Chooses parts of a network that are not trained; `freeze=` builds these classes.

A frozen part stays as it is, bit for bit: its parameters get no gradient and no decay, and its
normalisation layers neither use nor update the statistics of a batch. Dropout stays active.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from fcn_lab.errors import UserError

NORM_LAYERS = (_NormBase, nn.LayerNorm, nn.GroupNorm)


class Freeze(ABC):
    """A choice of parts that are not trained."""

    @abstractmethod
    def find_parts(self, net: nn.Module) -> list[nn.Module]:
        """Returns the parts of this network that stay as they are.

        Raises:
            UserError: the network has no such part.
        """

    def apply(self, net: nn.Module) -> list[nn.Module]:
        """Freezes the parts' parameters; returns their normalisation layers for `FrozenLayers`."""
        parts = self.find_parts(net)
        for part in parts:
            part.requires_grad_(False)
        return [layer for part in parts for layer in find_norms(part)]


class Nothing(Freeze):
    """A choice of no part, so that everything is trained."""

    def find_parts(self, net: nn.Module) -> list[nn.Module]:
        """Returns an empty list, for any network."""
        return []


class Encoder(Freeze):
    """A choice of the encoder, so that the decoder is trained on its features."""

    def find_parts(self, net: nn.Module) -> list[nn.Module]:
        """Returns the child named ``encoder``, in a list."""
        parts = [part for name, part in net.named_children() if name == "encoder"]
        if not parts:
            raise UserError("freeze=encoder: this network has no part of that name")
        return parts


class Norms(Freeze):
    """A choice of the normalisation layers, which keep their scales and statistics."""

    def find_parts(self, net: nn.Module) -> list[nn.Module]:
        """Returns all normalisation layers of the network."""
        layers = list(find_norms(net))
        if not layers:
            raise UserError("freeze=norm: this network has no normalisation layers")
        return layers


class AllButScore(Freeze):
    """A choice of all but the score layers: "fixed" in the FCN paper (table of the FCN-32s)."""

    def find_parts(self, net: nn.Module) -> list[nn.Module]:
        """Returns the children whose name does not begin with score."""
        parts = [part for name, part in net.named_children() if not name.startswith("score")]
        if len(parts) == len(list(net.children())):
            raise UserError("freeze=all_but_score: this network has no layer named score…")
        return parts


def find_norms(part: nn.Module) -> Iterator[nn.Module]:
    """Yields the normalisation layers in a part, itself included."""
    return (layer for layer in part.modules() if isinstance(layer, NORM_LAYERS))


def describe_trained(net: nn.Module) -> str:
    """Returns one line: how many parameters are trained and frozen, by part of the network."""
    counts: dict[str, dict[str, int]] = {"trained": {}, "frozen": {}}
    for name, parameter in net.named_parameters():
        group = counts["trained" if parameter.requires_grad else "frozen"]
        part = name.partition(".")[0]
        group[part] = group.get(part, 0) + parameter.numel()
    return "; ".join(
        f"{state}: " + (", ".join(f"{part} {n:,}" for part, n in group.items()) or "nothing")
        for state, group in counts.items()
    )

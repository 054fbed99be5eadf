"""Which parts of a network are trained: what `freeze=` builds.

A frozen part stays as it is, bit for bit: its parameters get no gradient and no decay, and its
normalisation layers neither use nor update the statistics of a batch. Dropout stays as it was.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from fcn_lab.errors import UserError

NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm)


class Freeze(ABC):
    """A choice of parts that are not trained."""

    @abstractmethod
    def parts(self, net: nn.Module) -> list[nn.Module]:
        """Those of this network.

        Raises:
            UserError: it has none such.
        """

    def apply(self, net: nn.Module) -> list[nn.Module]:
        """Freezes the parameters and gives the normalisation layers to be held in evaluation."""
        parts = self.parts(net)
        for part in parts:
            part.requires_grad_(False)
        return [layer for part in parts for layer in norms(part)]


class Nothing(Freeze):
    """All parts are trained."""

    def parts(self, net: nn.Module) -> list[nn.Module]:
        """None."""
        return []


class Encoder(Freeze):
    """The decoder is trained on the features of the encoder as it is."""

    def parts(self, net: nn.Module) -> list[nn.Module]:
        """The encoder."""
        found = [part for name, part in net.named_children() if name == "encoder"]
        if not found:
            raise UserError("freeze=encoder: this network has no part of that name")
        return found


class Norms(Freeze):
    """Normalisation keeps the scales and statistics of the pretrained weights."""

    def parts(self, net: nn.Module) -> list[nn.Module]:
        """All normalisation layers."""
        found = list(norms(net))
        if not found:
            raise UserError("freeze=norm: this network has no normalisation layers")
        return found


class AllButScore(Freeze):
    """Only the score layers are trained: "fixed" in the FCN paper (table of the FCN-32s)."""

    def parts(self, net: nn.Module) -> list[nn.Module]:
        """All whose name does not begin with score."""
        found = [part for name, part in net.named_children() if not name.startswith("score")]
        if len(found) == len(list(net.children())):
            raise UserError("freeze=all_but_score: this network has no layer named score…")
        return found


def norms(part: nn.Module) -> Iterator[nn.Module]:
    """The normalisation layers in a part, itself included."""
    return (layer for layer in part.modules() if isinstance(layer, NORMS))


def account(net: nn.Module) -> str:
    """Parameters trained and frozen, by part of the network."""
    counts: dict[str, dict[str, int]] = {"trained": {}, "frozen": {}}
    for name, parameter in net.named_parameters():
        of = counts["trained" if parameter.requires_grad else "frozen"]
        part = name.partition(".")[0]
        of[part] = of.get(part, 0) + parameter.numel()
    return "; ".join(
        f"{what}: " + (", ".join(f"{part} {n:,}" for part, n in of.items()) or "nothing")
        for what, of in counts.items()
    )

"""Equivalent recipes of stochastic gradient descent: other reduction, other batch size.

Legend: η rate, p momentum, λ weight decay, k images a batch, P scored pixels an image.

Exact, as long as P does not change: θ ← θ + v, v ← p·v − η(g + λθ) with g summed over the k·P
pixels of a batch takes the steps of (η·kP, λ/kP) with g their mean. So the decay of 5e-4 beside the
FCN paper's summed loss is one of 3e-9 beside a mean.

An approximation: a batch of k images with momentum p, and of k' with p' = p^(k'/k). With g summed,
the image seen j images ago has the coefficient p^⌊j/k⌋ in v; without the floor the two agree (Long,
Shelhamer, Darrell, PAMI 2017, who round 0.9^(1/20) = 0.9947 to 0.99). An image's whole effect,
η/(1 − p), is kept by η' = η(1 − p')/(1 − p), and that of the decay by λ' = λk'/k. What is left out:
θ moves inside what was a batch, and the floor, which is worth a factor of p^(1−1/k) at most.
"""

from dataclasses import dataclass, replace

# images a batch; the paper finds that both train equally well, each with its momentum
PAPER_BATCH_SIZES = (1, 20)


@dataclass(frozen=True)
class SGDRecipe:
    """Stochastic gradient descent with momentum on a cross entropy.

    Args:
        lr: η.
        momentum: p.
        weight_decay: λ.
        batch: k.
        pixels: P.
        is_sum: whether the loss is the sum over the pixels of a batch, or else their mean.
    """

    lr: float
    momentum: float
    weight_decay: float
    batch: int
    pixels: float
    is_sum: bool

    def to_reduction(self, is_sum: bool) -> "SGDRecipe":
        """Returns the recipe that takes the same steps under that reduction; exact."""
        if is_sum == self.is_sum:
            return self
        factor = (self.batch * self.pixels) ** (-1 if is_sum else 1)
        return replace(
            self, lr=self.lr * factor, weight_decay=self.weight_decay / factor, is_sum=is_sum
        )

    def to_batch_size(self, batch: int) -> "SGDRecipe":
        """Returns the recipe of about the same training in batches of another size."""
        sums = self.to_reduction(True)
        momentum = self.momentum ** (batch / self.batch)
        recipe = replace(
            sums,
            lr=sums.lr * (1 - momentum) / (1 - self.momentum),
            momentum=momentum,
            weight_decay=sums.weight_decay * batch / self.batch,
            batch=batch,
        )
        return recipe.to_reduction(self.is_sum)

    def describe(self) -> list[str]:
        """Returns lines: this recipe, the other reduction, the batch sizes of the paper."""
        others = [k for k in PAPER_BATCH_SIZES if k != self.batch and 0 < self.momentum < 1]
        equivalent = self.to_reduction(not self.is_sum)
        return [
            f"optimisation: {self}",
            f"  exactly, where all images have so many scored pixels: {equivalent}",
            *(f"  about: {self.to_batch_size(batch)}" for batch in others),
        ]

    def __str__(self) -> str:
        form = "sum" if self.is_sum else "mean"
        return (
            f"lr {self.lr:.3g} and weight decay {self.weight_decay:.3g} on the {form} over "
            f"{self.batch} x {self.pixels:,.0f} pixels, momentum {self.momentum:.4g}"
        )

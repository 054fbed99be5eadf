"""Confusion matrices and losses, a row an image."""

import torch

from fcn_lab.metrics.confusion import confusion_matrices
from fcn_lab.metrics.image_scores import ImageScores

K = 3


def test_every_image_has_its_own_row_in_whatever_batches_they_come() -> None:
    rng = torch.Generator().manual_seed(2)
    guess, truth = torch.randint(K, (2, 5, 4, 6), generator=rng)
    losses = torch.rand(5, generator=rng)
    rows = ImageScores(K)
    rows.expect(5)
    for part in (torch.tensor([3]), torch.tensor([0, 4]), torch.tensor([2, 1])):
        rows.update(guess[part], truth[part], losses[part], part)
    matrices, found = rows.compute()
    assert torch.equal(matrices, confusion_matrices(guess, truth, K))
    assert torch.equal(found, losses)


def test_scoring_again_starts_from_nothing() -> None:
    rows = ImageScores(K)
    for _ in range(2):
        rows.expect(1)
        rows.update(
            torch.zeros(1, 2, 2), torch.zeros(1, 2, 2), torch.ones(1), torch.zeros(1).long()
        )
    assert rows.compute()[0].sum() == 4

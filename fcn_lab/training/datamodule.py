"""Loaders over one data source. N H W: batch, rows, columns."""

from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader

from fcn_lab.data.augment import IDENTITY
from fcn_lab.data.frames import Augment, FrameDataset, Frames, Sample
from fcn_lab.data.layouts.layout import SPLITS
from fcn_lab.data.sampling import EqualSizeSampler, EvalSampler, TrainSampler
from fcn_lab.data.seeds import seed_of
from fcn_lab.data.source import Source, require_split
from fcn_lab.errors import UserError
from fcn_lab.pixels import Colour
from fcn_lab.training.workers import explain_loader, settle_loader
from fcn_lab.values import Count, Seed, Whole, check_arguments


@check_arguments
class FrameDataModule(L.LightningDataModule):
    """Batches ``{"image": (N,3,H,W) uint8, "label": (N,H,W) uint8, "index": (N,)}`` of one source.

    Training batches are shuffled by (seed, epoch), sharded over ranks and augmented; an incomplete
    last batch is left out. Whole frames of several sizes come in batches of equal size. Evaluation
    goes image by image, so that a score depends on neither batch nor rank. The trainer must not
    insert its own samplers (``use_distributed_sampler=False``). A run that resumes inside an epoch
    continues after the batches that were done.

    Args:
        source: where the frames come from.
        augment: applied to training frames only.
        batch_size: images a batch on each rank.
        num_workers: processes that read ahead; None for what suits the machine, which is none
            where the CPU trains.
        split: the split that ``test_dataloader`` serves; None for the last one of the source.
        seed: decides the order and the augmentation of the training frames.

    Raises:
        UserError: the data lack the split, or train holds less than one batch over all ranks.

    Example:
        >>> from fcn_lab.data.synthetic import Synthetic
        >>> data = FrameDataModule(Synthetic((24, 32), train=4, val=1, test=1), batch_size=2)
        >>> [batch["index"].tolist() for batch in data.val_dataloader()]
        [[0]]
        >>> data.num_classes, len(data.train_dataloader())
        (11, 2)
    """

    def __init__(
        self,
        source: Source,
        augment: Augment = IDENTITY,
        batch_size: Count = 8,
        num_workers: Whole | None = None,
        split: str | None = "test",
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        # a usual split that the data lack is refused only where it is read
        split = split or source.splits[-1]
        require_split(split, tuple(dict.fromkeys((*SPLITS, *source.splits))))
        self.source = source
        self.split = split
        self._augment = augment
        self.batch_size = batch_size
        self._num_workers = num_workers
        self.seed = seed
        self._position = (0, 0)
        # an epoch, and the number of batches before it; from there on epochs have today's length
        self._start = (0, 0)

    @property
    def classes(self) -> tuple[str, ...]:
        """Returns the names of the K scored classes, in the order of their numbers."""
        return self.source.classes

    @property
    def palette(self) -> tuple[Colour, ...]:
        """Returns the K colours that pictures show the classes in."""
        return self.source.palette

    @property
    def num_classes(self) -> int:
        """Returns the number K of scored classes, void not counted."""
        return len(self.source.classes)

    @property
    def protocol(self) -> str:
        """Returns the protocol that every score on these data must name."""
        return self.source.protocol

    def describe(self) -> str:
        """Returns the lines that every run on these data prints first."""
        return "\n".join([self.source.describe(), *explain_loader(self._num_workers)])

    def reseed(self, seed: int) -> "FrameDataModule":
        """Returns the same data for another training, with its own order and augmentation."""
        return FrameDataModule(
            self.source, self._augment, self.batch_size, self._num_workers, self.split, seed
        )

    def train_dataloader(self) -> DataLoader[Sample]:
        """Returns this rank's batches of train: shuffled, augmented, each of one size."""
        frames = self.source.frames("train")
        rank, world = self._find_rank()
        self.require_batch(world)
        dataset = FrameDataset(frames, self._augment, self.seed)
        if self._groups_sizes(frames):
            batch_sampler = EqualSizeSampler(frames.sizes, self.batch_size, self.seed, rank, world)
            batch_sampler.resume(*self._position)
            return self._create_loader(dataset, batch_sampler=batch_sampler)
        sampler = TrainSampler(len(frames), self.batch_size, self.seed, rank, world)
        sampler.resume(*self._position)
        return self._create_loader(dataset, sampler=sampler, batch_size=self.batch_size)

    def require_batch(self, world: int) -> None:
        """Refuses more frames a step than train has.

        Args:
            world: number of devices, each of which takes a batch.

        Raises:
            UserError: there are more.
        """
        count = len(self.source.frames("train"))
        if count < self.batch_size * world:
            raise UserError(
                f"data.batch_size={self.batch_size} on {world} device(s) is more than the "
                f"{count} training frames.\n"
                f"Type data.batch_size={max(1, count // world)} or less."
            )

    @property
    def has_single_batches(self) -> bool:
        """Returns whether some training batch may hold a single frame."""
        return self.batch_size == 1 or self._groups_sizes(self.source.frames("train"))

    def _groups_sizes(self, frames: Frames) -> bool:
        """Returns whether batches of whole frames have to be put together by size."""
        is_cropped = getattr(self._augment, "crop", None) is not None
        return self.batch_size > 1 and not is_cropped and not frames.has_one_size

    def val_dataloader(self) -> DataLoader[Sample]:
        """Returns a loader of the val split, image by image."""
        return self._create_eval_loader("val")

    def test_dataloader(self) -> DataLoader[Sample]:
        """Returns a loader of the split chosen with ``split``, image by image."""
        return self._create_eval_loader(self.split)

    def state_dict(self) -> dict[str, Any]:
        """Returns the training batches done in all epochs, and how epochs are cut into batches."""
        if self.trainer is None:
            return {}
        # The total, because the count within the epoch stands at its end until the next one begins.
        progress = self.trainer.fit_loop.epoch_loop.batch_progress.state_dict()
        return {
            "batches": int(progress["total"]["processed"]),
            "per_epoch": int(self.trainer.num_training_batches),
            "start": list(self._start),
            "cut": self._batch_layout(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues after the batches that were done.

        Raises:
            UserError: the run stopped inside an epoch that was cut into other batches.
        """
        if not state_dict or state_dict["per_epoch"] == 0:
            return
        first_epoch, earlier_batches = state_dict.get("start", (0, 0))
        later_batches = state_dict["batches"] - earlier_batches
        epochs, batches = divmod(later_batches, state_dict["per_epoch"])
        epoch = first_epoch + epochs
        if batches and state_dict["cut"] != self._batch_layout():
            (size, world), (now_size, now_world) = state_dict["cut"], self._batch_layout()
            raise UserError(
                f"The run stopped inside epoch {epoch}, in batches of {size} on {world} device(s); "
                f"it cannot go on in batches of {now_size} on {now_world}.\n"
                f"Type data.batch_size={size} trainer.devices={world}."
            )
        self._position = (epoch, batches)
        self._start = (epoch, state_dict["batches"] - batches)

    def _create_eval_loader(self, split: str) -> DataLoader[Sample]:
        frames = self.source.frames(split)
        sampler = EvalSampler(len(frames), *self._find_rank())
        dataset = FrameDataset(frames, IDENTITY, self.seed)
        return self._create_loader(dataset, sampler=sampler, batch_size=1)

    def _create_loader(self, dataset: FrameDataset, **batching: Any) -> DataLoader[Sample]:  # noqa: ANN401
        on_gpu, ranks = False, 1
        if self.trainer is not None:
            on_gpu = self.trainer.strategy.root_device.type == "cuda"
            ranks = self.trainer.num_devices
        return DataLoader(
            dataset,
            **batching,
            **settle_loader(self._num_workers, on_gpu, ranks),
            # Without its own, a loader draws from the global generator, which would change dropout.
            generator=torch.Generator().manual_seed(seed_of(self.seed)),
        )

    def _find_rank(self) -> tuple[int, int]:
        """Returns this process's rank and the number of ranks."""
        trainer = self.trainer
        return (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)

    def _batch_layout(self) -> list[int]:
        return [self.batch_size, self._find_rank()[1]]

"""The LightningModule around any network, with one step for every split.

Legend: N C H W batches, K classes, M images of a split. Batches are dicts of uint8 ``image``
(N,3,H,W), uint8 ``label`` (N,H,W), 0…K−1 or void, and ``index`` (N,), numbers in the split.
"""

import hashlib
import math
from collections.abc import Sequence, Sized
from typing import Any, cast

import lightning as L
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric

from fcn_lab.data.colours import generate_colour
from fcn_lab.errors import UserError
from fcn_lab.metrics.boundaries import EdgeRows, ImageEdges
from fcn_lab.metrics.image_scores import ImageScores
from fcn_lab.metrics.scores import compute_scores
from fcn_lab.training.losses import compute_on_rank
from fcn_lab.training.optim import Optim, OptimizerConfig
from fcn_lab.values import check_arguments

Batch = dict[str, Tensor]


@check_arguments
class SegmentationModule(L.LightningModule):
    """Trains and scores a network that maps float RGB 0…1 (N,3,H,W) to scores (N,K,H,W).

    Args:
        net: the network.
        loss: called with scores (N,K,H,W) and int64 target (N,H,W); None where it only scores.
        optim: optimiser and schedule; None where it only scores.
        classes: the K names.
        seed: together with step and rank it decides every random draw of a training step.
        flip: average the class probabilities of image and mirror image when scoring.
        memory_format: memory format of the batches.

    Raises:
        UserError: an argument of another kind, a training without loss or optim, or a training
            loss that is not a number.

    Example:
        >>> import lightning, torch
        >>> from fcn_lab import Optim, create_model, losses, synthetic
        >>> data = synthetic(size=(32, 32), train=2, val=1, test=1, batch_size=2)
        >>> net = create_model(**{"encoder.widths": [4] * 5, "encoder.head_width": 4})
        >>> optim = Optim(torch.optim.AdamW, lr=1e-3, schedule=lambda progress: 1 - progress)
        >>> module = SegmentationModule(net, losses.CrossEntropy(), optim, data.classes)
        >>> module(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)).shape
        torch.Size([2, 11, 32, 32])
        >>> trainer = lightning.Trainer(
        ...     max_epochs=1, accelerator="cpu", use_distributed_sampler=False, logger=False,
        ...     enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        ... )
        >>> trainer.fit(module, datamodule=data)
        >>> 0 <= float(trainer.callback_metrics["val/mean_iou"]) <= 1
        True
    """

    def __init__(
        self,
        net: nn.Module,
        loss: nn.Module | None,
        optim: Optim | None,
        classes: Sequence[str],
        seed: int = 0,
        flip: bool = False,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        super().__init__()
        self.net, self.loss, self.optim = net, loss, optim
        self.classes, self.seed = tuple(classes), seed
        self.flip, self.memory_format = flip, memory_format
        self.train_loss = MeanMetric(nan_strategy="disable")
        self.val_scores = ImageScores(len(classes))
        self.test_scores = cast("ImageScores", self.val_scores.clone())
        self.matrices: dict[str, Tensor] = {}
        self.image_edges: ImageEdges | None = None  # see `measure_edges`
        self.edges: dict[str, EdgeRows] = {}

    def forward(self, image: Tensor) -> Tensor:
        """Returns the scores (N,K,H,W) of uint8 images (N,3,H,W).

        Raises:
            UserError: the images are of another type, or the network scores other classes.
        """
        if image.dtype != torch.uint8:
            raise UserError(
                f"a SegmentationModule was given images of {image.dtype}: expected uint8.\n"
                "Its network by itself, module.net, takes floats in 0…1."
            )
        result: Tensor = self.net(image.contiguous(memory_format=self.memory_format).float() / 255)
        if result.shape[1] != len(self.classes):
            raise UserError(
                f"the network scores {result.shape[1]} classes, and the data have "
                f"{len(self.classes)}.\nExpected as many; model.num_classes= may be left out"
            )
        return result

    def predict(self, image: Tensor, result: Tensor) -> Tensor:
        """Returns the labels (N,H,W) of images (N,3,H,W) with these scores (N,K,H,W)."""
        if self.flip:
            mirror_scores = self(image.flip(3)).flip(3)
            result = result.softmax(1) + mirror_scores.softmax(1)
        # five times as fast as argmax on a CPU
        return result.max(1).indices

    def measure_edges(self) -> None:
        """Makes every later scoring measure boundaries, too; during training nothing reads them."""
        stride = getattr(self.net, "stride", None)
        self.image_edges = ImageEdges(len(self.classes), stride).to(self.device)

    def _score_batch(self, batch: Batch, rows: ImageScores) -> Tensor:
        """Returns the labels (N,H,W) of a batch; their scores go into `rows`."""
        image, target = batch["image"], batch["label"].long()
        result = self(image)
        losses = None
        if self.loss is not None:
            # image by image, so that the losses depend neither on the batch size nor on the ranks
            pairs = zip(result, target, strict=True)
            losses = torch.stack([self.loss(r[None], t[None]) for r, t in pairs])
        prediction = self.predict(image, result)
        rows.update(prediction, target, losses, batch["index"])
        if self.image_edges is not None:
            self.image_edges.update(result, prediction, target, batch["index"])
        return prediction

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        assert self.loss is not None
        scores, target = self(batch["image"]), batch["label"].long()
        loss = compute_on_rank(self.loss, scores, target, self.trainer.world_size)
        self.train_loss.update(loss.detach())
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True, logger=False)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self._score_batch(batch, self.val_scores)

    def test_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self._score_batch(batch, self.test_scores)

    def on_train_epoch_start(self) -> None:
        # here and not at the epoch's end, where checkpoints would keep the old one
        self.train_loss.reset()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Makes dropout a function of (seed, step, rank): a resume needs no generator's state."""
        # not by `seed_of`: a recorded run that is repeated or resumed draws what it drew
        text = f"{self.seed} {self.global_step} {self.trainer.global_rank}"
        torch.manual_seed(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest()))

    def on_train_epoch_end(self) -> None:
        """Refuses to go on with a loss that is not a number.

        Raises:
            UserError: the loss is infinite or not a number.
        """
        assert self.optim is not None
        if not math.isfinite(loss := float(self.trainer.callback_metrics["train/loss"])):
            raise UserError(
                f"the training loss is {loss} in epoch {self.current_epoch}: "
                "expected a finite number.\n"
                f"Lower optim.lr ({self.optim.lr}) or set trainer.gradient_clip_val=1.0"
            )

    def on_validation_epoch_start(self) -> None:
        self._expect(self.val_scores, self.trainer.val_dataloaders)

    def on_test_epoch_start(self) -> None:
        self._expect(self.test_scores, self.trainer.test_dataloaders)

    def on_validation_epoch_end(self) -> None:
        self._finish("val", self.val_scores)

    def on_test_epoch_end(self) -> None:
        self._finish("test", self.test_scores)

    def _expect(self, rows: ImageScores, loader: Any) -> None:  # noqa: ANN401  (Lightning's type)
        images = len(cast("Sized", loader.dataset))
        rows.expect(images)
        if self.image_edges is not None:
            self.image_edges.expect(images)

    def _finish(self, split: str, rows: ImageScores) -> None:
        matrices, losses = rows.compute()
        self.matrices[split] = matrices.cpu()
        if self.image_edges is not None:
            self.edges[split] = self.image_edges.compute()
        result = compute_scores(matrices.sum(0).cpu(), self.classes)
        loss = float(losses.cpu().double().mean())
        values: dict[str, object] = {} if self.loss is None else {"loss": loss}
        values |= {name: value for name, value in result.items() if isinstance(value, float)}
        values |= {f"iou/{n}": math.nan if v is None else v for n, v in result["iou"].items()}
        self.log_dict(
            {f"{split}/{k}": float(cast("float", v)) for k, v in values.items()}, logger=False
        )

    def configure_optimizers(self) -> OptimizerConfig:
        if self.loss is None or self.optim is None:
            raise UserError(
                "This SegmentationModule only scores: it has no loss or no optim.\n"
                "To train, give both: SegmentationModule(net, loss, optim, classes)"
            )
        return self.optim.configure(self.net, int(self.trainer.estimated_stepping_batches))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # the file is the first rank's, but the loss of an epoch is that of all
        with self.train_loss.sync_context():
            checkpoint["epoch_loss"] = self.train_loss.metric_state
        # saved for predictors, which have no data module
        checkpoint["classes"] = list(self.classes)
        # a user's own trainer may have loaders without a data module
        data = cast("Any", self.trainer).datamodule
        palette = getattr(data, "palette", None) or map(generate_colour, range(len(self.classes)))
        checkpoint["palette"] = [tuple(map(int, colour)) for colour in palette]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # Lightning files the data module's state under its class; there was one class for all data
        data = type(cast("Any", self.trainer).datamodule).__qualname__
        if data not in checkpoint and "CamVidDataModule" in checkpoint:
            checkpoint[data] = checkpoint["CamVidDataModule"]
        # one rank alone restores the sums, or each rank would count them
        for name, value in checkpoint["epoch_loss"].items() if self.trainer.is_global_zero else ():
            setattr(self.train_loss, name, value.to(self.device))

"""task=evaluate: scores the best weights of a run, or published ones, on a split, `data.split`."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from torch import nn

from fcn_lab.cost.comparison import compare_costs
from fcn_lab.cost.macs import count_cost
from fcn_lab.data.classes import describe_difference
from fcn_lab.errors import Omissions, UserError
from fcn_lab.geometry.sizes import count_channels
from fcn_lab.inference.sliding_windows import SlidingWindows
from fcn_lab.runs.checkpoint import load_best_checkpoint, load_state
from fcn_lab.runs.run import RunFolder
from fcn_lab.signals import StopRequest
from fcn_lab.text.terminal import format_count, print_text
from fcn_lab.training.callbacks.clock import Clock
from fcn_lab.training.callbacks.pictures import Pictures
from fcn_lab.training.callbacks.predictions import Predictions
from fcn_lab.training.callbacks.progress import create_progress
from fcn_lab.training.callbacks.stop import StopOnSignal
from fcn_lab.training.datamodule import FrameDataModule
from fcn_lab.training.module import SegmentationModule
from fcn_lab.training.ranks import is_first_rank
from fcn_lab.training.scoring import image_size, publish_scores, score_split
from fcn_lab.training.settings import TrainerSettings
from fcn_lab.training.splits import require_frames, require_labels


class Evaluate:
    """Scores a run again, on another split or with another `flip`, into a folder of its own.

    Args:
        run: the folder of the training run; None where `net` has its weights, published ones.
        net: the run's network.
        data: the run's data; `data.split` is the split to score.
        training: the device and the precision to compute with.
        words: model, upsample, encoder.
        seed: the run's seed.
        flip: average over image and mirror image.
        dense: wraps the network, so that it scores, say, in windows.
    """

    def __init__(
        self,
        run: str | Path | None,
        net: nn.Module,
        data: FrameDataModule,
        training: TrainerSettings,
        words: Mapping[str, str],
        seed: int = 0,
        flip: bool = False,
        dense: Callable[[nn.Module], nn.Module] | None = None,
    ) -> None:
        self.source = None if run is None else Path(run)
        self.net, self.data, self.training = net, data, training
        self.words, self.seed, self.flip, self.dense = words, seed, flip, dense

    def run(self, folder: Path) -> None:
        """Leaves metrics.json, the confusion matrices and panels in `folder`.

        Raises:
            UserError: the run has no weights that fit, its classes or channels are not those of
                the data, or `dense` does not fit its network.
        """
        run_folder, split, clock = RunFolder(folder), self.data.split, Clock()
        self.training.check_devices()
        require_labels(self.data)
        require_frames(self.data, [split], self.training.processes)
        first_precision = None if self.source is None else RunFolder(self.source).precision
        training, choice = self.training.settle_precision(first_precision)
        run_net = self._load_network()
        self._require_channels()
        net = run_net if self.dense is None else self.dense(run_net)
        if is_first_rank():
            run_folder.write_env(training.describe_device())
            for line in (self.data.describe(), *choice.describe(training.memory_format)):
                print_text(line)
        size = image_size(self.data.source.frames(split))
        if self.dense is not None and is_first_rank():
            if isinstance(net, SlidingWindows):
                print_text(net.describe())
            print_text(compare_costs({"upsampled": run_net, type(net).__name__: net}, *size))
        cost = count_cost(net, *size)
        # it only scores, so there is no loss and no optimiser
        module = SegmentationModule(
            training.prepare(net), None, None, self.data.classes,
            self.seed, self.flip, training.memory_format,
        )  # fmt: skip
        omissions = Omissions()
        pictures = Pictures(
            run_folder, self.data.classes, self.data.palette, split, omissions=omissions
        )
        with StopRequest() as request:
            predictions = Predictions(run_folder, self.data.palette, split, omissions)
            callbacks = [pictures, predictions, create_progress(clock), StopOnSignal(request)]
            trainer = training.create_trainer(run_folder, (), callbacks)
            result = score_split(
                split, trainer, module, self.data, run_folder, omissions, is_only=True
            )
        if is_first_rank():
            facts: dict[str, object] = {**self.words, "seed": self.seed, **asdict(cost)}
            if self.dense is not None:
                facts["dense"] = type(net).__name__
            facts["seconds"] = clock.seconds
            results = {split: result}
            extras = {} if self.source is None else {"run": self.source}
            publish_scores(run_folder, self.data.protocol, facts, results, omissions, **extras)

    def _load_network(self) -> nn.Module:
        if self.source is not None:
            checkpoint = load_best_checkpoint(self.source)
            # a score is of a class by its place alone
            if tuple(checkpoint["classes"]) != tuple(self.data.classes):
                sides = "the run", "the data"
                difference = describe_difference(checkpoint["classes"], self.data.classes, sides)
                raise UserError(
                    f"run={self.source} was trained on other classes than these data have: "
                    f"{difference}.\nDrop data=, or list the classes in data.names= as the run does"
                )
            return load_state(self.net, checkpoint["state_dict"], self.source)
        scores = getattr(self.net, "score_fr", None)
        if isinstance(scores, nn.Conv2d) and not scores.weight.any():
            raise UserError(
                "the weights hold no scores of classes: they are an encoder's, to train from.\n"
                "Expected weights=FILE of a whole published net"
            )
        return self.net

    def _require_channels(self) -> None:
        channels = count_channels(self.net)
        own_channels = self.data.source.frames(self.data.split).images[0].shape[-1]
        if own_channels != channels:
            raise UserError(
                f"the network reads {format_count(channels, 'channel')}, the pictures of these "
                f"data have {own_channels}.\n"
                "Drop data=, or name in data.images= the files that it was trained on"
            )

"""Where the time of a training goes: python experiments/bench.py [--quick].

Everything is measured in one run, in turns with what it is compared with, so that the ratios hold
on a busy machine, too; single times do not. Prints the tables and writes them into
experiments/speed/README.md, and what they say to the claims into experiments/README.md. ``--quick``
measures small things once and writes nothing.
"""

import argparse
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import costs
import lightning as L
import numpy as np
import torch
from layer_table import TableFCN8s
from lightning.pytorch.loggers import CSVLogger
from PIL import Image
from publish import replace_block
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from fcn_lab import Optim, SegmentationModule, create_model, losses, synthetic
from fcn_lab.runs.processor import describe_processor
from fcn_lab.training.callbacks.steps import StepLog
from fcn_lab.training.precision import cpu_has_bf16

PAGE = Path(__file__).parent / "speed" / "README.md"
CLASSES = 11


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Args:
        size: rows and columns of a frame.
        frames: of a loader, and of an epoch.
        rounds: turns, whose median counts.
        vgg: whether the nets on VGG-16, 134 million parameters, are measured.
    """

    size: tuple[int, int]
    frames: int
    rounds: int
    vgg: bool


FULL_SCALE = Scale((180, 240), 64, 7, vgg=True)
QUICK_SCALE = Scale((32, 48), 8, 2, vgg=False)


def main() -> None:
    """Prints the tables; writes them unless they are quick ones."""
    parser = argparse.ArgumentParser(description="where the time of a training goes")
    parser.add_argument("--quick", action="store_true", help="small, once, and nothing is written")
    is_quick = parser.parse_args().quick
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    parts = []
    for part in write_tables(QUICK_SCALE if is_quick else FULL_SCALE):
        print(part, end="\n\n", flush=True)
        parts.append(part)
    if not is_quick:
        *tables, claims = parts
        replace_block(PAGE, "speed", tables)
        replace_block(PAGE.parent.parent / "README.md", "costs", [claims])


def write_tables(scale: Scale) -> Iterator[str]:
    """Yields Markdown as soon as it is measured: the machine, the tables, that of the claims."""
    is_native = cpu_has_bf16()
    yield (
        f"{describe_processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}; "
        f"bf16 is {'native' if is_native else 'emulated here, and left out'}. Frames of "
        f"{scale.size[0]}×{scale.size[1]}; medians of {scale.rounds} turns, with their range."
    )
    dtypes = (torch.float32, torch.bfloat16) if is_native else (torch.float32,)
    yield tabulate(
        "A training step, images/s",
        ("network", "precision", "images/s", "range", "ratio to the first"),
        time_steps(scale, dtypes),
    )
    yield tabulate("The loop", ("loop", "images/s", "range", "ratio"), time_loops(scale))
    yield tabulate("The loader", ("loader", "images/s", "range", "ratio"), time_loaders(scale))
    yield tabulate(
        "Peak memory of a training step", ("network", "MB of the process"), measure_peaks(scale)
    )
    shares = costs.measure_shares(*scale.size, scale.rounds)
    yield tabulate(
        "The operators' share of a training step of FCN-8s on the encoder tiny, %",
        *costs.tabulate_shares(shares),
    )
    comparisons = costs.compare_dense() if scale.vgg else []
    if comparisons:
        yield tabulate(
            "The scores of FCN-32s on VGG-16 in one dense pass, against patch by patch",
            ("scores", "operations, ratio", "time, ratio", "range", "largest difference"),
            [costs.describe_dense(comparisons)],
        )
    yield costs.tabulate_claims(shares, comparisons)


def tabulate(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table under a title."""
    rule = ["---"] + ["---:"] * (len(head) - 1)
    lines = (f"| {' | '.join(row)} |" for row in (head, rule, *rows))
    return "\n".join([f"### {title}", "", *lines])


def take_turns(jobs: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Runs each job once a round, after a round that does not count, and keeps what they return."""
    results: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(rounds + 1):
        for name, job in jobs.items():
            value = job()
            if turn:
                results[name].append(value)
    return results


def compare_turns(results: Mapping[str, list[float]]) -> list[tuple[str, ...]]:
    """Returns a row a job: its median, its range, and the median of its ratio to the first."""
    first = next(iter(results.values()))
    return [
        (
            name,
            f"{median(values):.1f}",
            f"{min(values):.1f}–{max(values):.1f}",
            f"{median(a / b for a, b in zip(values, first, strict=True)):.2f}",
        )
        for name, values in results.items()
    ]


def time_steps(scale: Scale, dtypes: Sequence[torch.dtype]) -> list[tuple[str, ...]]:
    """Compares bare training steps of the lab's nets with a net written from its layer table."""
    nets: dict[str, Callable[[], nn.Module]] = {
        "fcn2s, tiny": partial(create_model, "fcn2s", "bilinear")
    }
    if scale.vgg:
        nets = {
            "layer table of FCN-8s, VGG-16, padded by 100": partial(TableFCN8s, CLASSES),
            "fcn8s_caffe, the same layers": partial(create_model, "fcn8s_caffe"),
            "fcn8s, vgg16, without the padding": partial(
                create_model, encoder="vgg16", model="fcn8s"
            ),
            **nets,
        }
    rows = []
    for dtype in dtypes:
        jobs = {name: Step(make(), scale.size, dtype) for name, make in nets.items()}
        rows += [
            (name, str(dtype).removeprefix("torch."), *rest)
            for name, *rest in compare_turns(take_turns(jobs, scale.rounds))
        ]
    return rows


class Step:
    """A bare training step: forward, cross-entropy, backward, SGD. Calling it returns images/s."""

    def __init__(self, net: nn.Module, size: tuple[int, int], dtype: torch.dtype) -> None:
        self.net, self.dtype = net.train(), dtype
        self.image = torch.rand(1, 3, *size)
        self.label = torch.randint(0, CLASSES, (1, *size))
        self.optimizer = torch.optim.SGD(net.parameters(), lr=1e-6, momentum=0.9)

    def __call__(self) -> float:
        start = time.perf_counter()
        with torch.autocast("cpu", self.dtype, enabled=self.dtype is not torch.float32):
            scores = self.net(self.image)
        nn.functional.cross_entropy(scores.float(), self.label).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return 1 / (time.perf_counter() - start)


def time_loops(scale: Scale) -> list[tuple[str, ...]]:
    """Compares Lightning's loop around the module with a bare one over the same loader and net."""
    data = synthetic(size=scale.size, train=scale.frames, val=1, test=1, batch_size=4)
    net = create_model("fcn8s", "bilinear")
    optim = Optim(torch.optim.AdamW, lr=1e-3, schedule=lambda progress: 1 - progress)
    module = SegmentationModule(net, losses.CrossEntropy(), optim, data.classes)

    def run_bare() -> float:
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
        start = time.perf_counter()
        for batch in data.train_dataloader():
            loss = module.loss(module(batch["image"]), batch["label"].long())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return scale.frames / (time.perf_counter() - start)

    def run_lightning(folder: str | None = None) -> float:
        clock = Clock()
        trainer = L.Trainer(
            max_epochs=1,
            accelerator="cpu",
            callbacks=[clock, *([StepLog(1)] if folder else [])],
            use_distributed_sampler=False,
            limit_val_batches=0,
            logger=CSVLogger(folder) if folder else False,
            log_every_n_steps=1,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, datamodule=data)
        return scale.frames / clock.seconds

    with tempfile.TemporaryDirectory() as scratch:
        loops = {
            "a bare loop": run_bare,
            "Lightning's": run_lightning,
            "Lightning's, every step noted in a CSV": partial(run_lightning, scratch),
        }
        return compare_turns(take_turns(loops, scale.rounds))


class Clock(L.Callback):
    """Takes the seconds of an epoch's batches."""

    seconds = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.seconds = time.perf_counter() - self._start


class Files(Dataset[tuple[Tensor, Tensor]]):
    """Frames and labels read from PNG files through PIL, the way most code does."""

    def __init__(self, folder: Path) -> None:
        self.images = sorted(folder.glob("*.image.png"))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        path = self.images[index]
        label = path.with_name(path.name.replace(".image.", ".label."))
        image = np.asarray(Image.open(path).convert("RGB"))
        return torch.from_numpy(image.copy()).permute(2, 0, 1), torch.from_numpy(
            np.asarray(Image.open(label)).copy()
        )


def time_loaders(scale: Scale) -> list[tuple[str, ...]]:
    """Compares the loader of packed frames with PNG files through PIL, each in one process."""
    data = synthetic(size=scale.size, train=scale.frames, val=1, test=1, batch_size=4)
    frames = data.source.frames("train")
    with tempfile.TemporaryDirectory() as folder:
        for name, image, label in zip(frames.names, frames.images, frames.labels, strict=True):
            Image.fromarray(image).save(Path(folder) / f"{name}.image.png")
            Image.fromarray(label).save(Path(folder) / f"{name}.label.png")
        files = DataLoader(Files(Path(folder)), batch_size=4, shuffle=True)

        def read(loader: Callable[[], DataLoader]) -> float:
            start = time.perf_counter()
            count = sum(1 for _ in loader())
            return 4 * count / (time.perf_counter() - start)

        jobs = {
            "PNG files through PIL": partial(read, lambda: files),
            "packed frames": partial(read, data.train_dataloader),
        }
        return compare_turns(take_turns(jobs, scale.rounds))


def measure_peaks(scale: Scale) -> list[tuple[str, str]]:
    """Measures what a process that trains holds at most, each net in a process of its own."""
    nets = [("fcn2s", "tiny"), ("fcn8s", "tiny")] + [("fcn8s", "vgg16")] * scale.vgg
    rows = []
    for words in nets:
        call = f"import bench; bench.print_peak(*{words}, {scale.size})"
        command = [sys.executable, "-c", call]
        folder = Path(__file__).parent
        result = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
        rows.append((", ".join(words), result.stdout.strip()))
    return rows


def print_peak(model: str, encoder: str, size: tuple[int, int]) -> None:
    """Prints the peak of this process in MB after three training steps."""
    step = Step(create_model(model, encoder=encoder), size, torch.float32)
    for _ in range(3):
        step()
    # not getrusage's, which begins with what the process that started this one holds
    status = Path("/proc/self/status").read_text()
    print(f"{int(status.split('VmHWM:')[1].split()[0]) / 1024:,.0f}")


if __name__ == "__main__":
    main()

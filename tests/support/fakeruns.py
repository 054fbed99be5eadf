"""Finished runs without training: street scenes with blurred and noisy labels, scored as ever."""

import io
import itertools
import json
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image

from fcn_lab.data.frames import Frames
from fcn_lab.data.synthetic import Synthetic
from fcn_lab.metrics.boundaries import EdgeRows, count_boundary_pixels, trimap_matrices
from fcn_lab.metrics.confusion import confusion_matrices
from fcn_lab.metrics.scores import compute_scores
from fcn_lab.pixels import Pixels
from fcn_lab.rendering.pictures import colourise

STRIDES = {"fcn32s": 16, "fcn16s": 8, "fcn8s": 4}
HARM = {"transposed": 0.0, "bilinear": 0.001, "nearest": 0.12}
COUNT = 24
PROTOCOL = "camvid11-48x64-void_ignored-segnet_split"


def street(count: int = COUNT, size: tuple[int, int] = (48, 64)) -> tuple[Frames, Synthetic]:
    """Scenes under CamVid's names: two drives of consecutive frames."""
    source = Synthetic(size, test=count)
    drawn = source.frames("test")
    cut = count // 3
    names = [f"0001TP_{i:06d}" if i < cut else f"Seq05VD_f{i:05d}" for i in range(count)]
    return Frames(drawn.images, drawn.labels, tuple(names)), source


def guess(labels: Pixels, model: str, upsample: str, seed: int) -> Pixels:
    """Labels at the model's stride, with some pixels wrong by the operator and the seed."""
    rng = np.random.default_rng([sum(map(ord, model + upsample)), seed])
    stride = STRIDES[model]
    coarse = labels[:, stride // 2 :: stride, stride // 2 :: stride]
    wide = coarse.repeat(stride, 1).repeat(stride, 2)[:, : labels.shape[1], : labels.shape[2]]
    blocks = [(0, 0), (0, labels.shape[1] - wide.shape[1]), (0, labels.shape[2] - wide.shape[2])]
    wide = np.pad(wide, blocks, "edge")
    known = np.where(wide == 255, 0, wide)
    wrong = rng.random(labels.shape) < 0.02 + HARM[upsample] + 0.01 * rng.random()
    return np.where(wrong, 3, known).astype(np.uint8)


def write_run(
    folder: Path,
    frames: Frames,
    source: Synthetic,
    model: str = "fcn8s",
    upsample: str = "bilinear",
    seed: int = 0,
    protocol: str = PROTOCOL,
    predictions: bool = True,
) -> Path:
    """A run's folder as training leaves it, without checkpoints."""
    folder.mkdir(parents=True)
    made, k = guess(frames.labels, model, upsample, seed), len(source.classes)
    pair = torch.from_numpy(made), torch.from_numpy(frames.labels)
    matrices = confusion_matrices(*pair, k)
    rows = EdgeRows(
        count_boundary_pixels(*pair, k), trimap_matrices(*pair, k), torch.rand(len(made))
    )
    result = {**compute_scores(matrices.sum(0), source.classes), **rows.summarize(source.classes)}
    words = {"model": model, "upsample": upsample, "encoder": "tiny"}
    cost = {"params": 10**6 + STRIDES[model], "macs": 10**9 // STRIDES[model], "seconds": 60.5}
    metrics = {"protocol": protocol, **words, "seed": seed, **cost, "val": result, "test": result}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    arm = f"model={model},upsample={upsample}"
    (folder / "config.yaml").write_text(yaml.safe_dump({"arm": arm, "seed": seed}))
    history = "".join(f"{e},{0.1 * e + 0.01 * seed}\n" for e in range(3))
    (folder / "history.csv").write_text(f"epoch,val/mean_iou\n{history}")
    kept = {"names": frames.names, "classes": source.classes, "split": "test"}
    np.savez_compressed(
        folder / "confusions.npz",
        matrices=matrices.numpy(),
        **rows.to_arrays(),
        **{n: np.array(v) for n, v in kept.items()},
    )
    if predictions:
        write_predictions(folder, frames, made, source)
    return folder


def write_predictions(folder: Path, frames: Frames, made: Pixels, source: Synthetic) -> None:
    palette = colourise(np.arange(256, dtype=np.uint8), source.palette).ravel().tolist()
    with zipfile.ZipFile(folder / "predictions.zip", "w") as kept:
        for image, truth, label, name in zip(
            frames.images, frames.labels, made, frames.names, strict=True
        ):
            for ending, pixels in ((".jpg", image), (".truth.png", truth), (".png", label)):
                shown, file = Image.fromarray(pixels), io.BytesIO()
                if ending != ".jpg":
                    shown.putpalette(palette)
                shown.save(file, "JPEG" if ending == ".jpg" else "PNG")
                kept.writestr(name + ending, file.getvalue())


def write_grid(
    folder: Path,
    models: Iterable[str] = STRIDES,
    upsamples: Iterable[str] = HARM,
    seeds: Iterable[int] = (0, 1, 2),
    count: int = COUNT,
    size: tuple[int, int] = (48, 64),
) -> Path:
    """Every combination, a folder each."""
    frames, source = street(count, size)
    for model, upsample, seed in itertools.product(models, upsamples, seeds):
        cell = folder / f"model={model},upsample={upsample},seed={seed}"
        write_run(cell, frames, source, model, upsample, seed)
    return folder

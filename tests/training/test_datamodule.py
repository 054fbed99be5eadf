import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from fcn_lab.data.augment import Augmentation
from fcn_lab.data.camvid import CamVid
from fcn_lab.data.classes import CAMVID11
from fcn_lab.data.folder import Folder
from fcn_lab.data.frames import Frames
from fcn_lab.data.synthetic import Synthetic
from fcn_lab.data.voc import Voc
from fcn_lab.errors import UserError
from fcn_lab.pixels import VOID, Pixels
from fcn_lab.training import sources
from fcn_lab.training.datamodule import FrameDataModule
from fcn_lab.training.sources import synthetic
from support.places import CONF

TRAIN, BATCH = 14, 3
PER_EPOCH = TRAIN // BATCH


class Ramp:
    """A source of tiny frames that hold their own number."""

    classes: tuple[str, ...] = ("a", "b")
    palette = ((0, 0, 0), (9, 9, 9))
    protocol = "ramp2-6x8-void_ignored-own_split"
    splits: tuple[str, ...] = ("train", "val", "test")

    def frames(self, split: str) -> Frames:
        count = {"train": TRAIN, "val": 5, "test": 7}[split]
        images = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones(
            (6, 8, 3), np.uint8
        )
        labels = np.zeros((count, 6, 8), np.uint8)
        labels[:, 0] = VOID
        return Frames(images, labels, tuple(f"{split}{i}" for i in range(count)))

    def describe(self) -> str:
        return "ramp"


def seeded(image: Pixels, label: Pixels, seed: int) -> tuple[Pixels, Pixels]:
    """Writes its seed into the picture, so that a test sees every draw."""
    noted = image.copy()
    noted[0, 0] = np.frombuffer(seed.to_bytes(8, "little"), np.uint8)[:3]
    return noted, label


class Diary(L.LightningModule):
    """A module that trains one number and writes down the frames and draws of every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[int, list[int], list[int]]] = []

    def training_step(self, batch: dict[str, torch.Tensor], _: int) -> torch.Tensor:
        draws = batch["image"][:, :, 0, 0].flatten().tolist()
        self.seen.append((self.current_epoch, batch["index"].tolist(), draws))
        return (self.weight - batch["image"].float().mean()) ** 2

    def validation_step(self, batch: dict[str, torch.Tensor], _: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.01)


def data(**changes: object) -> FrameDataModule:
    options: dict[str, Any] = {"augment": seeded, "batch_size": BATCH, **changes}
    return FrameDataModule(Ramp(), **options)


def keepers(folder: Path) -> list[Callback]:
    """A checkpoint after every step, and one after every epoch."""
    return [
        ModelCheckpoint(
            folder, "{step}", save_top_k=-1, every_n_train_steps=1, save_on_train_epoch_end=False
        ),
        ModelCheckpoint(folder, "end-{epoch}", save_top_k=-1, save_on_train_epoch_end=True),
    ]


def fit(*callbacks: Callback, resume: Path | None = None, **changes: object) -> Diary:
    diary = Diary()
    trainer = L.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        enable_checkpointing=bool(callbacks),
        callbacks=list(callbacks),
    )
    trainer.fit(diary, datamodule=data(**changes), ckpt_path=resume)
    return diary


pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    # Resumed here without the callbacks that wrote the checkpoint, since they would write more.
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`"),
    # The data module resumes; Lightning looks for loaders that keep a state of their own.
    pytest.mark.filterwarnings("ignore:.*your dataloader is not resumable"),
    # Python 3.12 on warns of forking beside torch's idle threads, which is how loaders do it.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Diary]:
    folder = tmp_path_factory.mktemp("whole")
    return folder, fit(*keepers(folder))


def test_batches_are_bytes_with_void_kept() -> None:
    batch = next(iter(data().train_dataloader()))
    assert batch["image"].shape == (BATCH, 3, 6, 8)
    assert batch["label"].shape == (BATCH, 6, 8)
    assert batch["image"].dtype == batch["label"].dtype == torch.uint8
    assert (batch["label"][:, 0] == VOID).all()
    assert len(data().train_dataloader()) == PER_EPOCH


def test_evaluation_is_image_by_image_in_order_and_never_augmented() -> None:
    module = data(split="val")
    for loader, count in (
        (data().test_dataloader(), 7),
        (module.test_dataloader(), 5),
        (module.val_dataloader(), 5),
    ):
        batches = list(loader)
        assert [batch["index"].tolist() for batch in batches] == [[i] for i in range(count)]
        assert all((batch["image"] == i).all() for i, batch in enumerate(batches))


def test_every_epoch_shuffles_anew_and_shows_no_frame_twice(whole: tuple[Path, Diary]) -> None:
    _, diary = whole
    epochs = [[i for e, index, _ in diary.seen if e == epoch for i in index] for epoch in range(3)]
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert all(len(set(epoch)) == len(epoch) == PER_EPOCH * BATCH for epoch in epochs)


@pytest.mark.parametrize("done", range(1, 3 * PER_EPOCH))
def test_a_run_resumed_after_any_batch_sees_what_the_whole_run_saw(
    done: int, whole: tuple[Path, Diary]
) -> None:
    folder, diary = whole
    resumed = fit(resume=folder / f"step={done}.ckpt")
    assert resumed.seen == diary.seen[done:]
    assert torch.equal(resumed.weight, diary.weight)


def test_a_position_is_right_after_epochs_of_two_lengths() -> None:
    """Two epochs of 4 batches, as earlier versions noted them, then one of 2 and a batch."""
    twice = data(batch_size=2 * BATCH)
    twice.load_state_dict({"batches": 2 * PER_EPOCH, "per_epoch": PER_EPOCH, "cut": [BATCH, 1]})
    assert twice._position == (2, 0)
    done = {"total": {"processed": 2 * PER_EPOCH + 3}}
    progress = SimpleNamespace(state_dict=lambda: done)
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))
    twice.trainer = SimpleNamespace(  # type: ignore[assignment]
        fit_loop=loop, num_training_batches=PER_EPOCH // 2, global_rank=0, world_size=1
    )
    for _ in range(2):
        state = twice.state_dict()
        twice.load_state_dict(state)
        assert twice._position == (3, 1)


@pytest.mark.parametrize("epoch", [0, 1])
def test_a_run_resumed_after_an_epoch_begins_the_next_one(
    epoch: int, whole: tuple[Path, Diary]
) -> None:
    folder, diary = whole
    resumed = fit(resume=folder / f"end-epoch={epoch}.ckpt")
    assert resumed.seen == diary.seen[(epoch + 1) * PER_EPOCH :]


def test_workers_change_neither_a_run_nor_its_resumption(whole: tuple[Path, Diary]) -> None:
    folder, diary = whole
    assert fit(resume=folder / "step=2.ckpt", num_workers=1).seen == diary.seen[2:]


def test_a_run_inside_an_epoch_refuses_to_go_on_in_other_batches(whole: tuple[Path, Diary]) -> None:
    folder, _ = whole
    with pytest.raises(UserError, match=r"inside epoch 0, in batches of 3 .*\n.*batch_size=3"):
        fit(resume=folder / "step=2.ckpt", batch_size=2)
    other = fit(resume=folder / f"step={PER_EPOCH}.ckpt", batch_size=2)
    assert {epoch for epoch, _, _ in other.seen} == {1, 2}


def test_loaders_leave_the_global_random_numbers_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    for loader in (data().train_dataloader(), data().val_dataloader()):
        list(loader)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_training_and_divide_evaluation_without_padding(world: int) -> None:
    train, test = [], []
    for rank in range(world):
        module = data(batch_size=2)
        place = SimpleNamespace(root_device=torch.device("cpu"))
        module.trainer = SimpleNamespace(  # type: ignore[assignment]
            global_rank=rank, world_size=world, num_devices=world, strategy=place
        )
        train.append([i for batch in module.train_dataloader() for i in batch["index"].tolist()])
        test += [i for batch in module.test_dataloader() for i in batch["index"].tolist()]
    assert sorted(test) == list(range(7))
    drawn = [i for shard in train for i in shard]
    assert len(set(drawn)) == len(drawn)
    assert len({len(shard) for shard in train}) == 1


def test_a_batch_larger_than_the_set_is_refused() -> None:
    with pytest.raises(UserError, match=r"batch_size=15 on 1 device.*14 training frames\.\n.*=14"):
        data(batch_size=15).train_dataloader()


def test_a_split_that_the_source_lacks_is_refused_at_once() -> None:
    with pytest.raises(
        UserError, match=r"no split 'tset' here; expected data\.split=train\|val\|test"
    ):
        data(split="tset")


def test_the_synthetic_word_brings_the_classes_of_camvid() -> None:
    module = synthetic(size=(32, 48), train=8, val=1, test=1, augment=Augmentation(), batch_size=8)
    assert (module.classes, module.num_classes) == (tuple(CAMVID11), 11)
    assert module.palette == tuple(CAMVID11.values())
    assert module.protocol == "synthetic11-32x48-void_ignored-seed0_val1_test1_split"
    assert next(iter(module.train_dataloader()))["image"].shape == (8, 3, 32, 48)


def test_the_words_of_conf_data_name_arguments_that_exist() -> None:
    folder = CONF / "data"
    nodes = {path: yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))}
    found = [path for path, node in nodes.items() if "defaults" not in node]
    assert [path.stem for path in found] == ["camvid", "folder", "synthetic", "voc"]
    assert {word for path in nodes for word in nodes[path].get("defaults", [])} == {
        "camvid", "folder"
    }  # fmt: skip
    for path in found:
        node = yaml.safe_load(path.read_text())
        name = {"camvid": "CamVidDataModule"}.get(path.stem, path.stem)
        assert node["_target_"] == f"fcn_lab.training.sources.{name}"
        assert len([line for line in path.read_text().splitlines() if line[0] != "#"]) <= 20


@pytest.mark.parametrize(
    ("build", "source", "renamed"),
    [
        (sources.CamVidDataModule.__init__, CamVid.__init__, {}),
        (sources.folder, Folder.__init__, {}),
        (sources.voc, Voc.__init__, {}),
        (sources.synthetic, Synthetic.__init__, {"scenes": "seed"}),
    ],
    ids=["camvid", "folder", "voc", "synthetic"],
)
def test_an_argument_has_the_default_of_the_source_that_takes_it(
    build: Callable[..., object], source: Callable[..., object], renamed: Mapping[str, str]
) -> None:
    taken = inspect.signature(source).parameters
    for name, argument in inspect.signature(build).parameters.items():
        other = taken.get(renamed.get(name, name))
        # VOC's classes are fixed, and a folder's source has no default where it cannot do without
        if name != "loading" and other is not None and other.default is not inspect.Parameter.empty:
            assert argument.default == other.default, name

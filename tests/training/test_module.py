"""The LightningModule: scores of images, flips, formats, randomness."""

from pathlib import Path

import lightning as L
import pytest
import torch
from torch import Tensor, nn

from fcn_lab.errors import UserError
from fcn_lab.pixels import VOID
from fcn_lab.training.datamodule import FrameDataModule
from fcn_lab.training.losses import CrossEntropy
from fcn_lab.training.module import SegmentationModule
from support.tiny import Net, Sided, Squares, make_train

K = 3


def make(net: nn.Module | None = None, **fields: object) -> SegmentationModule:
    torch.manual_seed(0)
    parts = {"optim": make_train().optim, "classes": ("a", "b", "c"), **fields}
    return SegmentationModule(net or Net(), CrossEntropy(), **parts).eval()  # type: ignore[arg-type]


def batch(n: int = 2) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(1)
    image = torch.randint(256, (n, 3, 9, 11), generator=rng, dtype=torch.uint8)
    label = torch.randint(K, (n, 9, 11), generator=rng, dtype=torch.uint8)
    label[:, 0] = VOID
    return {"image": image, "label": label, "index": torch.arange(n)}


def test_images_enter_the_network_between_0_and_1() -> None:
    seen: list[Tensor] = []

    class Spy(Net):
        def forward(self, image: Tensor) -> Tensor:
            seen.append(image)
            return super().forward(image)

    module, data = make(Spy()), batch()
    module(data["image"])
    assert seen[0].dtype == torch.float32
    assert torch.equal((seen[0] * 255).round().to(torch.uint8), data["image"])


def test_images_of_another_range_are_refused() -> None:
    with pytest.raises(UserError, match=r"^a SegmentationModule was given images of torch.float32"):
        make()(batch()["image"] / 255)


@pytest.mark.parametrize("names", [("a", "b"), ("a", "b", "c", "d")])
def test_a_network_of_other_classes_than_the_data_have_is_refused(names: tuple[str, ...]) -> None:
    """Its fourth class would count as another one's hit."""
    module = SegmentationModule(Net(), None, None, names)
    with pytest.raises(UserError, match=rf"^the network scores 3 classes, .* have {len(names)}\."):
        module.test_step(batch(), 0)


def test_a_flipped_score_averages_the_probabilities_of_image_and_mirror_image() -> None:
    module, data = make(flip=True), batch()
    here = module(data["image"]).softmax(1)
    there = module(data["image"].flip(3)).softmax(1).flip(3)
    expected = ((here + there) / 2).argmax(1)
    assert torch.equal(module.predict(data["image"], module(data["image"])), expected)


def test_a_flipped_score_averages_probabilities_and_not_scores() -> None:
    image = torch.zeros(1, 3, 4, 6, dtype=torch.uint8)
    module = make(Sided(), flip=True)
    assert (module.predict(image, module(image)) == 2).all()


def test_a_flipped_score_of_a_mirror_image_is_the_mirrored_score() -> None:
    module, image = make(flip=True), batch()["image"]
    mirrored = module.predict(image.flip(3), module(image.flip(3)))
    assert torch.equal(mirrored.flip(2), module.predict(image, module(image)))


def test_the_memory_format_changes_no_prediction() -> None:
    module, image = make(), batch()["image"]
    last = make(Net().to(memory_format=torch.channels_last), memory_format=torch.channels_last)
    last.load_state_dict(module.state_dict())
    assert torch.allclose(last(image), module(image), atol=1e-6)


@pytest.mark.parametrize("change", ["seed", "step", "rank", None])
def test_dropout_is_a_function_of_seed_step_and_rank(
    change: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw(seed: int, step: int, rank: int) -> Tensor:
        module = make(seed=seed)
        monkeypatch.setattr(SegmentationModule, "global_step", step)
        monkeypatch.setattr(SegmentationModule, "trainer", type("T", (), {"global_rank": rank}))
        torch.rand(3)  # whatever was drawn before does not matter
        module.on_train_batch_start(batch(), 0)
        return torch.rand(8)

    place = {"seed": 1, "step": 2, "rank": 3}
    changed = {**place, change: 7} if change else place
    assert torch.equal(draw(**place), draw(**changed)) == (change is None)


def test_a_loss_that_is_not_finite_ends_the_run_with_advice() -> None:
    class Broken(CrossEntropy):
        def forward(self, scores: Tensor, target: Tensor) -> Tensor:
            return super().forward(scores, target) * float("nan")

    data = FrameDataModule(Squares(), batch_size=3)
    module = SegmentationModule(Net(), Broken(), make_train().optim, data.classes)
    trainer = L.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )  # fmt: skip
    with pytest.raises(UserError, match=r"optim\.lr"):
        trainer.fit(module, data)


def test_a_module_without_loss_and_optim_scores_alike_and_refuses_to_train() -> None:
    def create_trainer() -> L.Trainer:
        return L.Trainer(
            max_epochs=1, accelerator="cpu", use_distributed_sampler=False, logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip

    data = FrameDataModule(Squares(), batch_size=3)
    found = {}
    for fields in ({}, {"loss": None, "optim": None}):
        torch.manual_seed(0)
        parts = {"loss": CrossEntropy(), "optim": make_train().optim, **fields}
        module = SegmentationModule(Net(), classes=("a", "b", "c"), **parts)  # type: ignore[arg-type]
        trainer = create_trainer()
        trainer.test(module, data, verbose=False)
        found[len(fields)] = {k: float(v) for k, v in trainer.callback_metrics.items()}
    with_loss, without = found.values()
    assert with_loss.pop("test/loss") > 0
    assert str(with_loss) == str(without)
    with pytest.raises(UserError, match=r"SegmentationModule\(net, loss, optim, classes\)"):
        create_trainer().fit(module, data)


@pytest.mark.parametrize("whole", [True, False], ids=["data module", "loaders alone"])
def test_a_trainer_of_ones_own_saves_classes_and_colours_and_goes_on(
    whole: bool, tmp_path: Path
) -> None:
    data = FrameDataModule(Squares(), batch_size=7)
    path = tmp_path / "a.ckpt"
    for epochs, start in ((1, None), (2, path)):
        trainer = L.Trainer(
            max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
        )  # fmt: skip
        loaders = (data.train_dataloader(), data.val_dataloader())
        fed = (
            {"datamodule": data}
            if whole
            else dict(zip(("train_dataloaders", "val_dataloaders"), loaders, strict=True))
        )
        trainer.fit(make(classes=data.classes).train(), **fed, ckpt_path=start, weights_only=True)  # type: ignore[arg-type]
        trainer.save_checkpoint(path)
    kept = torch.load(path, weights_only=True)
    assert kept["epoch"] == 2
    assert kept["classes"] == list(data.classes)
    assert len(set(kept["palette"])) == len(data.classes)
    assert not whole or kept["palette"] == list(data.palette)

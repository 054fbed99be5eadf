"""The data modules that ``data=`` builds, each with its source's arguments and the loader's.

The arguments of a source are listed here again, since type checkers and editors would not know a
signature that is joined at run time.
"""

from collections.abc import Mapping
from typing import TypedDict, Unpack

from fcn_lab.data.camvid import CamVid
from fcn_lab.data.folder import Folder
from fcn_lab.data.frames import Augment
from fcn_lab.data.packs.source import CACHE
from fcn_lab.data.pictures.unreadable import LIMIT
from fcn_lab.data.resizing import Resize
from fcn_lab.data.synthetic import Synthetic
from fcn_lab.data.voc import NAMES, Voc
from fcn_lab.errors import UserError
from fcn_lab.training.datamodule import FrameDataModule
from fcn_lab.values import Classes, Count, Positive, Seed, Size, Whole, check_arguments


class LoaderArguments(TypedDict, total=False):
    """Arguments of FrameDataModule after its source."""

    augment: Augment
    batch_size: Count
    num_workers: Whole | None
    split: str | None
    seed: Seed


@check_arguments
class CamVidDataModule(FrameDataModule):
    """CamVid in any of its four releases, as ``data=camvid`` builds it.

    After its own arguments it takes those of `FrameDataModule` after its source,
    all of them by their names.

    Args:
        root: folder of the data, or the one above it; None looks in the usual places.
        size: (H,W) in pixels to bring frames to; None keeps each frame's own.
        classes: 11, or 32 for those of the class file.
        download: fetch the SegNet release where nothing is found.
        cache: folder of the decoded frames.
        split_by: "drive" divides the frames anew by whole drives; None keeps the release's split.
        held_out: the drive to score then.
        megapixels: the most pixels of a picture, in millions.
        resize: "fit", "fill" or "stretch": how frames of another shape are brought to the size.
        pack: keep decoded frames on disk; false reads them from their files.

    Raises:
        UserError: no data are found, they are broken, or have no such classes or split.

    Example:
        >>> data = CamVidDataModule("CamVid", size=(24, 32), batch_size=1, split="val")
        >>> batch = next(iter(data.train_dataloader()))
        >>> batch["image"].shape, batch["label"].shape
        (torch.Size([1, 3, 24, 32]), torch.Size([1, 24, 32]))
        >>> data.num_classes
        11
    """

    def __init__(
        self,
        root: str | None = None,
        size: Size | None = None,
        classes: Classes = 11,
        download: bool = False,
        cache: str = CACHE,
        split_by: str | None = None,
        held_out: str | None = None,
        megapixels: Positive = LIMIT.megapixels,
        resize: Resize | None = None,
        pack: bool = True,
        **loading: Unpack[LoaderArguments],
    ) -> None:
        source = CamVid(
            root=root, size=size, classes=classes, download=download,
            cache=cache, split_by=split_by, held_out=held_out,
            megapixels=megapixels, resize=resize, pack=pack,
        )  # fmt: skip
        super().__init__(source, **loading)


@check_arguments
def folder(
    root: str | None = None,
    images: object = None,
    masks: str | None = None,
    names: object = None,
    classes: Classes | None = None,
    splits: Mapping[str, float | str] | None = None,
    blocks: str | Count | None = None,
    size: Size | None = None,
    split_by: str | None = None,
    held_out: str | int | None = None,
    cache: str = CACHE,
    ignore: object = None,
    megapixels: Positive = LIMIT.megapixels,
    resize: Resize | None = None,
    pack: bool = True,
    **loading: Unpack[LoaderArguments],
) -> FrameDataModule:
    """Builds ``data=folder``: batches of a user's own pictures and masks.

    After its own arguments it takes those of `FrameDataModule` after its source, all by name. A
    picture and its mask are those whose paths have the same text in place of the stars.

    Args:
        root: the folder that all other paths start from.
        images: pattern of the pictures, as ``photos/*.jpg``, or their folder; with several, as
            ``["photos/*.jpg", "depth/*.png"]``, each gives some of a picture's channels.
        masks: pattern of the masks, as ``masks/*.png``, or their folder.
        names: the classes in the order of their ids in the masks, or with their ids or colours.
        classes: how many are scored, if the caller counts on that.
        splits: split → share of the frames, or split → text file that names a frame a line, or
            a folder of pictures.
        blocks: ``FILE.csv:COLUMN`` that names the drive of each frame, or the number of the star in
            `images` that does; no drive is divided. Or "single" for pictures that stand alone.
        size: (H,W) in pixels to bring frames to; None keeps each frame's own.
        split_by: "drive" divides the frames anew by whole drives.
        held_out: the drive to score then.
        cache: folder of the decoded frames.
        ignore: ids or colours of masks that are void besides 255, or "others": ids of no class.
        megapixels: the most pixels of a picture, in millions.
        resize: "fit", "fill" or "stretch": how frames of another shape are brought to the size.
        pack: keep decoded frames on disk; false reads them from their files.

    Raises:
        UserError: there are no classes, or patterns and lists that fit no files.

    Example:
        >>> names = ["road", "car", "person"]
        >>> data = folder("my_data", "photos/*.png", "masks/*.png", names, batch_size=2)
        >>> data.classes
        ('road', 'car', 'person')
        >>> next(iter(data.train_dataloader()))["image"].shape
        torch.Size([2, 3, 24, 32])
    """
    source = Folder(
        root=root, images=images, masks=masks, names=names, ignore=ignore, classes=classes,
        splits=splits, blocks=blocks, split_by=split_by, held_out=held_out,
        size=size, cache=cache, megapixels=megapixels, resize=resize, pack=pack,
    )  # fmt: skip
    return FrameDataModule(source, **loading)


@check_arguments
def voc(
    root: str | None = None,
    sbd: str | None = None,
    merge: bool = True,
    classes: Classes = 21,
    size: Size | None = None,
    download: bool = False,
    cache: str = CACHE,
    megapixels: Positive = LIMIT.megapixels,
    resize: Resize | None = None,
    pack: bool = True,
    **loading: Unpack[LoaderArguments],
) -> FrameDataModule:
    """Builds ``data=voc``: batches of PASCAL VOC2012, by default each frame at its own size.

    After its own arguments it takes those of `FrameDataModule` after its source, all by name; the
    split that is scored is seg11valid where SBD is there, else val.

    Args:
        root: VOC2012's folder or one above it.
        sbd: SBD's folder; None looks for it below and beside the root.
        merge: train on SBD's train and its masks, where SBD is there.
        classes: 21; there are no others.
        size: (H,W) in pixels to bring frames to; None keeps each frame's own.
        download: fetch the release where nothing is found.
        cache: folder of the decoded frames.
        megapixels: the most pixels of a picture, in millions.
        resize: "fit", "fill" or "stretch": how frames of another shape are brought to the size.
        pack: keep decoded frames on disk; false reads them from their files.

    Raises:
        UserError: nothing is found, or other classes are asked for.
    """
    if classes != len(NAMES):
        raise UserError(f"data.classes={classes}: VOC has {len(NAMES)}; type data.classes=21")
    source = Voc(
        root=root, sbd=sbd, merge=merge, size=size, download=download,
        cache=cache, megapixels=megapixels, resize=resize, pack=pack,
    )  # fmt: skip
    loading.setdefault("split", None)
    return FrameDataModule(source, **loading)


@check_arguments
def synthetic(
    size: Size = (96, 128),
    classes: Classes = 11,
    train: Count = 160,
    val: Count = 40,
    test: Count = 60,
    scenes: Seed = 0,
    **loading: Unpack[LoaderArguments],
) -> FrameDataModule:
    """Builds ``data=synthetic``: batches of street scenes with CamVid's 11 classes.

    After its own arguments it takes those of `FrameDataModule` after its source, all by name. The
    scenes are drawn in memory at the first use of a split.

    Args:
        size: (H,W) in pixels.
        classes: 11; there are no others.
        train: number of frames of the train split.
        val: number of frames of the val split.
        test: number of frames of the test split.
        scenes: seed of the scenes; ``seed`` is that of order and augmentation.

    Raises:
        UserError: other classes, or more scenes than memory holds.

    Example:
        >>> data = synthetic(size=(24, 32), train=4, val=1, test=2, batch_size=2)
        >>> batch = next(iter(data.train_dataloader()))
        >>> batch["image"].shape, batch["image"].dtype
        (torch.Size([2, 3, 24, 32]), torch.uint8)
        >>> len(data.test_dataloader())
        2
        >>> synthetic(batchsize=2)
        Traceback (most recent call last):
        fcn_lab.errors.UserError: synthetic has no argument batchsize. Did you mean batch_size?
        It takes size, classes, train, val, test, scenes, augment, batch_size, ...
    """
    source = Synthetic(size=size, classes=classes, train=train, val=val, test=test, seed=scenes)
    return FrameDataModule(source, **loading)

"""The README's YAML, and data of one's own, as a user types them: from the command line on."""

import json
import re
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from fcn_lab.api import load_run
from fcn_lab.data.class_table import read_names
from fcn_lab.data.files.patterns import Pattern
from fcn_lab.data.files.picture_files import read_images
from fcn_lab.errors import UserError
from fcn_lab.worker import __main__ as worker
from support import fakes
from support.commandline import TypeLine
from support.pages import find_blocks
from support.places import ROOT

BLOCKS = find_blocks("yaml", pages=[ROOT / "README.md", ROOT / "fcn_lab" / "data" / "README.md"])
OWN = [block for block in BLOCKS if "defaults: [folder]" in block]
SMALL = (
    *("model=fcn32s", "upsample=bilinear", "encoder.widths=[4,4,8,8,8]", "encoder.head_width=8"),
    *("trainer.max_epochs=1", "trainer.accelerator=cpu", "logger=none", "data.batch_size=2"),
)
FRAMES = 8

Run = Callable[..., str]


@pytest.fixture
def run(type_line: TypeLine, capfd: pytest.CaptureFixture[str]) -> Run:
    """Types a line, lets the worker run what it froze, and gives all that was printed."""
    number = count()

    def type_and_work(*words: str) -> str:
        ended = type_line(*words, f"hydra.run.dir=run{next(number)}")
        assert ended.status == 0, ended.err
        worker.run_config(ended.folder / "config.yaml")
        return capfd.readouterr().out

    return type_and_work


def fill(pattern: str, name: str) -> str:
    """A file that the pattern finds, with the name in place of its stars."""
    if "*" not in pattern:
        return f"{pattern}/{name}.png"
    return pattern.replace("**/", f"{name}/").replace("*", name)


def make(mine: Mapping[str, Any]) -> None:
    """The files that a data set's YAML speaks of; every value of its classes is in every mask."""
    root, names = Path(mine["root"]), [f"f{number}" for number in range(FRAMES)]
    table = read_names(mine["names"], mine.get("ignore"))
    values = np.array(table.ids or table.colours, np.uint8)
    for name in names:
        index = np.arange(24 * 32).reshape(fakes.SIZE) % len(values)
        first, *further = read_images(mine["images"])
        fakes.save(root / fill(first.pattern, name), fakes.picture(name))
        for one in further:
            depth = fakes.picture(name)[..., 0].astype(np.uint16) * 40
            fakes.save(root / fill(one.pattern, name), depth)
        fakes.save(root / fill(mine["masks"], name), values[index])
    if "blocks" in mine:
        file, column = mine["blocks"].split(":")
        pictures = Pattern.parse(f"{mine['images']}", root).find_files()
        rows = [f"{path.name},d{number % 3}" for number, path in enumerate(pictures)]
        (root / file).write_text("\n".join([f"frame,{column}", *rows]))
    lists = [file for file in mine.get("splits", {}).values() if isinstance(file, str)]
    for number, file in enumerate(lists):
        (root / file).parent.mkdir(exist_ok=True)
        (root / file).write_text("\n".join(names[number :: len(lists)]))


def write(block: str, name: str = "mine") -> None:
    Path("my_conf/data").mkdir(parents=True, exist_ok=True)
    Path(f"my_conf/data/{name}.yaml").write_text(block)


def test_the_readme_shows_ids_colours_and_cityscapes() -> None:
    assert len(OWN) == 5
    assert len(BLOCKS) == 6


@pytest.mark.parametrize("block", OWN)
def test_a_yaml_of_the_readme_is_a_data_set(block: str, run: Run) -> None:
    write(block)
    mine = yaml.safe_load(block)
    make(mine)
    told = run("--config-dir", "my_conf", "data=mine", "task=audit")
    classes = {name for name in map(str, mine["names"])} - {"void"}
    assert f"{len(classes)} classes" in told
    assert "of no class" not in told
    assert "cannot be read" not in told
    for name in classes:
        assert name in told


def test_a_network_of_colours_and_depth_trains_labels_and_is_loaded(run: Run) -> None:
    (block,) = (block for block in OWN if "depth" in block)
    write(block)
    make(yaml.safe_load(block))
    run("--config-dir", "my_conf", "data=mine", *SMALL, "encoder.in_channels=4")
    told = run("task=predict", "run=run0", "input=my_rooms", "output=out")
    assert "8 of 8 files labelled" in told
    run("task=evaluate", "run=run0")
    found = [Path(f"my_rooms/{name}") for name in ("photos/f0.jpg", "depth/f0.png")]
    predictor = load_run("run0")
    labels = predictor(found)
    assert np.array_equal(labels, np.asarray(Image.open("out/photos/f0.png")))
    depth = np.rint(np.asarray(Image.open(found[1])) * (255 / 10000)).astype(np.uint8)
    assert np.array_equal(labels, predictor(np.dstack([np.asarray(Image.open(found[0])), depth])))
    for given in (found[0], np.zeros((9, 9, 3), np.uint8)):
        with pytest.raises(UserError, match=r"1 file of a picture|\(H, W, 4\)"):
            predictor(given)
    with Image.open("run2/panels/test_f7.png") as panel:
        assert panel.mode == "RGB"


def test_a_network_of_other_channels_than_the_datas_is_refused_with_the_words_to_type(
    run: Run,
) -> None:
    (block,) = (block for block in OWN if "depth" in block)
    write(block)
    make(yaml.safe_load(block))
    with pytest.raises(UserError, match=r"have 4 channels\.\nType encoder\.in_channels=4"):
        run("--config-dir", "my_conf", "data=mine", *SMALL)


def test_patterns_with_channels_are_typed_as_they_are_written(type_line: TypeLine) -> None:
    typed = "[photos/*.jpg, {files: depth/*.png, range: 10000}]"
    ended = type_line("data=folder", f"data.images={typed}", "data.masks=m", "data.names=[a,b]")
    assert ended.status == 0, ended.err
    assert ended.config["data"]["images"] == yaml.safe_load(typed)


def test_the_readmes_yaml_of_an_operator_is_a_word(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = set(BLOCKS) - set(OWN)
    (code,) = (code for code in find_blocks("python") if "class Copy" in code)
    Path("my_operators.py").write_text(code)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    # the command hands it to the process that it becomes
    monkeypatch.setenv("FCN_LAB_ALLOW", "my_operators.Copy")
    Path("my_conf/upsample").mkdir(parents=True)
    Path("my_conf/upsample/mine.yaml").write_text(block)
    told = run(
        "--config-dir", "my_conf", "upsample=mine", *SMALL[2:4], "task=shapes", "data.size=[32,32]"
    )
    assert "upsample" in told


def test_without_test_a_training_says_so_names_what_train_lacks_and_scores_val(run: Run) -> None:
    block = """
defaults: [folder]
root: farm
images: photos
masks: masks
names: [road, car, person, dog]
splits: {train: 0.5, val: 0.5}
"""
    write(block)
    mine = yaml.safe_load(block)
    make(mine)
    for number in range(FRAMES):  # persons are in val alone, dogs nowhere
        label = fakes.ids("a", 2) if number < FRAMES // 2 else fakes.ids("b", 3)
        fakes.save(Path(f"farm/masks/f{number}.png"), label)
    told = run("--config-dir", "my_conf", "data=mine", *SMALL)
    before = told[: told.index("epoch 1/1")]
    assert "there is no split test: val alone is scored" in before
    assert "train has no pixel of person, dog" in before
    assert "val has pixels of person, which" in before
    assert set(json.loads(Path("run0/metrics.json").read_text())) >= {"val"} - {"test"}
    kept = np.load("run0/confusions.npz")
    assert str(kept["split"]) == "val"
    assert len(kept["names"]) == FRAMES // 2


NAMES = {
    "colours": ("coloured", "{road: [128, 64, 128], car: [0, 0, 142]}", ("road", "car")),
    "ids": ("masks", "{0: sky, 1: road}", ("sky", "road")),
    "text": ("masks", "['no', '0']", ("no", "0")),
    "words of YAML": ("masks", "[no, yes]", ("no", "yes")),
}


@pytest.fixture
def farm(tmp_path: Path) -> str:
    """Words that name a folder of pictures, masks of two ids and masks of two colours."""
    colours = np.array([[128, 64, 128], [0, 0, 142]], np.uint8)
    for number in range(FRAMES):
        fakes.save(tmp_path / f"farm/photos/f{number}.jpg", fakes.picture(f"f{number}"))
        fakes.save(tmp_path / f"farm/masks/f{number}.png", fakes.ids("a", 2))
        fakes.save(tmp_path / f"farm/coloured/f{number}.png", colours[fakes.ids("a", 2)])
    return "data=folder data.root=farm data.images=photos"


@pytest.mark.parametrize("case", NAMES)
def test_names_are_typed_as_they_are_written(case: str, farm: str, type_line: TypeLine) -> None:
    masks, names, classes = NAMES[case]
    ended = type_line(*farm.split(), f"data.masks={masks}", f"data.names={names}")
    assert ended.status == 0, ended.err
    found = ended.config["data"]["names"]
    assert tuple(found.values() if case == "ids" else found) == classes
    assert ended.config["model"]["num_classes"] == 2


def test_what_is_typed_replaces_what_a_file_says(
    farm: str, type_line: TypeLine, tmp_path: Path
) -> None:
    del farm
    write("defaults: [folder]\nnames: {a: 0, b: 1}\nsplits: {train: 0.8, val: 0.2}\n")
    mine = ("--config-dir", "my_conf", "data=mine")
    for names in ("{x: 0, y: [1, 2]}", "[x, y]"):
        typed = ("data.splits={train: a.txt, val: b.txt}", f"data.names={names}")
        ended = type_line(*mine, *typed)
        assert set(ended.config["data"]["names"]) == {"x", "y"}
        assert ended.config["data"]["splits"] == {"train": "a.txt", "val": "b.txt"}
    assert type_line(*mine, "data.names.a=7").config["data"]["names"] == {"a": 7, "b": 1}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["data.names=[no,0]"], r"0 without quotes .*\n.*names: \[no, '0'\]"),
        (["data.names={a: 1, a: 2}"], "data.names has a twice"),
        (["data.names=[a,b,a]"], "the class a 2 times"),
        ([f"data.names=[{','.join(f'c{n}' for n in range(300))}]"], "300 classes; .* 255 at most"),
        (["data.names=road"], "expected the classes"),
        (["data.names={a: [7, 8, 9], b: 3}"], r"write {ids: \[7, 8, 9\]}"),
        ([], "data=folder needs data.images="),
    ],
)
def test_names_that_cannot_be_classes_are_refused_before_anything_starts(
    words: list[str], says: str, farm: str, type_line: TypeLine
) -> None:
    ended = type_line(*farm.split(), "data.masks=masks", *words)
    assert ended.status == 2
    assert re.search(says, ended.err)
    assert len(ended.err.strip().splitlines()) <= 2
    assert not ended.command


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("names: [no, 0]", r"no without quotes .*\n.*names: \['no', '0'\]"),
        ("names: {null: 3}", r"names: a key is no text.*\n.*'null'"),
        ("names: {a: 1, a: 2}", "mine.yaml, line 2: found duplicate key a"),
        ("names: [a", r"mine.yaml, line \d"),
    ],
)
def test_a_yaml_that_cannot_be_meant_is_refused_by_file_and_line(
    text: str, says: str, type_line: TypeLine
) -> None:
    write(f"defaults: [folder]\n{text}\n")
    ended = type_line("--config-dir", "my_conf", "data=mine")
    assert ended.status == 2
    assert re.search(says, ended.err)
    assert len(ended.err.strip().splitlines()) <= 2


def test_a_list_over_a_files_mapping_is_named(type_line: TypeLine) -> None:
    write("defaults: [folder]\nnames: {a: 0, b: 1}\n")
    write("defaults: [mine]\nnames: [a, b]\n", "other")
    ended = type_line("--config-dir", "my_conf", "data=other")
    assert ended.status == 2
    assert "data/other': a list and a mapping cannot be merged" in ended.err

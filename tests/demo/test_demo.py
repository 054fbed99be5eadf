"""The demo without its page: what is computed, which networks are offered, what is refused."""

import importlib.util
import shutil
import socket
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.stats import entropy as shannon

from fcn_lab.demo import memory, tiles
from fcn_lab.demo.labels import label_runs
from fcn_lab.demo.networks import Networks
from fcn_lab.demo.task import Demo
from fcn_lab.demo.tiles import Record
from fcn_lab.demo.views import (
    Scene,
    View,
    agreement,
    ask_network,
    blend,
    entropy,
    fit_size,
    open_picture,
    shrink,
)
from fcn_lab.errors import UserError
from fcn_lab.rendering.pictures import colourise
from support import nets
from support.commandline import TypeLine
from support.uploads import bad_files

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (5, 7, 3), np.uint8)
LABELS = RNG.integers(0, 3, (5, 7), np.uint8)
PALETTE = [(255, 0, 0), (0, 200, 0), (10, 20, 30)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nets.write_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def networks(folder: Path) -> Networks:
    return Networks([folder])


def test_networks_of_depth_are_not_offered_a_picture_of_three_channels(
    folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder, tmp_path / "runs")
    runs = sorted(copy.rglob("config.yaml"))
    for place, path in enumerate(runs):
        config = yaml.safe_load(path.read_text())
        config.setdefault("encoder", {})["in_channels"] = 4
        path.write_text(yaml.safe_dump(config))
        if place < len(runs) - 1:
            assert len(Networks([copy]).runs) == len(runs) - place - 1
    with pytest.raises(UserError, match="other than three channels"):
        Networks([copy])


def test_entropy_is_shannons_over_that_of_the_uniform_distribution() -> None:
    shares = RNG.dirichlet(np.ones(4), (5, 7)).transpose(2, 0, 1).astype(np.float32)
    np.testing.assert_allclose(entropy(shares), shannon(shares, base=4, axis=0), rtol=1e-5)
    certain = np.eye(4, dtype=np.float32)[LABELS].transpose(2, 0, 1)
    assert not entropy(certain).any()
    assert (entropy(np.full((4, 5, 7), 0.25, np.float32)) == 1).all()
    assert not entropy(np.ones((1, 5, 7), np.float32)).any()


def test_a_view_is_the_most_probable_class() -> None:
    shares = RNG.dirichlet(np.ones(3), (5, 7)).transpose(2, 0, 1).astype(np.float32)
    view = ask_network(lambda image: [shares[:, :2], shares[:, 2:]], IMAGE)
    assert (view.labels == shares.argmax(0)).all()
    np.testing.assert_array_equal(view.entropy, entropy(shares))
    assert view.mean_entropy == pytest.approx(entropy(shares).mean())
    assert view.seconds > 0


def test_opacity_is_each_classs_own() -> None:
    shown = blend(IMAGE, LABELS, PALETTE, [0, 1, 0.5])
    colours = colourise(LABELS, PALETTE)
    assert (shown[LABELS == 0] == IMAGE[LABELS == 0]).all()
    assert (shown[LABELS == 1] == colours[LABELS == 1]).all()
    half = (IMAGE.astype(float) + colours) / 2
    assert np.abs(shown - half)[LABELS == 2].max() <= 0.5
    void = np.full_like(LABELS, 255)
    assert (blend(IMAGE, void, PALETTE, [1, 1, 1]) == IMAGE).all()


def test_agreement_leaves_void_out() -> None:
    other = LABELS.copy()
    other[0] = 255
    assert agreement(LABELS, other) == 1
    other[1] = (LABELS[1] + 1) % 3
    assert agreement(LABELS, other) == pytest.approx(3 / 4)
    assert agreement(LABELS, np.full_like(LABELS, 255)) is None


def test_no_side_is_longer_than_a_picture_for_the_browser_may_be() -> None:
    for size in ((4, 70_000), (70_000, 4), (1, 40_000_000), (1, 65_500)):
        rows, columns = fit_size(size, 700_000)
        assert rows * columns <= 700_000
        assert tiles.embed_picture(np.zeros((rows, columns, 3), np.uint8), "")


@pytest.mark.parametrize(("height", "width"), [(1, 4000), (300, 200), (90, 120), (7, 5)])
def test_a_scene_is_shown_with_so_many_pixels(height: int, width: int) -> None:
    rows, columns = fit_size((height, width), 120 * 90)
    assert 1 <= rows * columns <= 120 * 90
    if height * width <= 120 * 90:
        assert (rows, columns) == (height, width)
    elif height > 1:
        assert columns / rows == pytest.approx(width / height, rel=0.02)
    labels = np.full((height, width), 2, np.uint8)
    given = Scene("a", np.full((height, width, 3), 7, np.uint8), labels)
    given.views["net"] = View(labels, np.zeros((rows, columns), np.float32), 0, 1)
    shown = shrink(given, 120 * 90)
    for pixels in (shown.image, shown.truth, shown.views["net"].labels):
        assert pixels is not None
        assert pixels.shape[:2] == (rows, columns)
    assert {*np.unique(shown.image), *np.unique(shown.views["net"].labels)} == {7, 2}


def test_a_large_picture_is_sent_as_jpeg_and_a_small_one_without_loss() -> None:
    sent = {n: tiles.embed_picture(np.zeros((n, n, 3), np.uint8), "") for n in (9, 800)}
    assert sent[9].source.startswith("data:image/png")
    assert sent[800].source.startswith("data:image/jpeg")


def test_a_picture_is_labelled_at_its_own_size(networks: Networks) -> None:
    own = RNG.integers(0, 256, (131, 203, 3), np.uint8)
    label = networks.choose_defaults()[0]
    view = networks.ask(label, own)
    assert view.remark == ""
    np.testing.assert_array_equal(view.labels, networks.predictor(label)(own))
    assert view.mean_entropy == pytest.approx(
        entropy(networks.predictor(label).probabilities(own)).mean()
    )


def test_a_picture_too_large_for_memory_is_labelled_in_windows(
    networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "WINDOW", 64)
    monkeypatch.setattr(memory, "OVERLAP", 32)
    own = RNG.integers(0, 256, (70, 101, 3), np.uint8)
    label = networks.choose_defaults()[0]
    assert networks.ask(label, own).remark == ""
    needed = memory.count_peak_bytes(networks.predictor(label).net, *own.shape[:2])
    monkeypatch.setattr(memory, "count_free_bytes", lambda device: needed / memory.MEMORY_SHARE - 1)
    view = networks.ask(label, own)
    assert view.labels.shape == own.shape[:2]
    assert view.remark.startswith(f"{label}: windows of 64 that overlap by 32 pixels")
    scene = Scene("own", own, views={label: view})
    colours = [(0, 0, 0)] * len(networks.classes)
    shown = tiles.render(scene, networks.classes, colours, [1] * len(colours), networks.records)
    assert "windows of 64" in shown
    assert networks.ask(label, own[:64, :64]).remark == ""


@pytest.mark.parametrize("kind", ["text", "empty", "cut", "deep", "bomb"])
def test_a_bad_file_is_named(kind: str, tmp_path: Path) -> None:
    path = bad_files(tmp_path)[kind]
    reasons = {"bomb": "is 2000x2000 pixels", "deep": "holds values from -1 to -1"}
    reason = reasons.get(kind, "is truncated or corrupt")
    with pytest.raises(UserError, match=rf"^{path.name} {reason}"):
        open_picture(path, megabytes=1, megapixels=1)


def test_a_file_is_judged_by_its_size_before_it_is_opened(tmp_path: Path) -> None:
    path = bad_files(tmp_path)["cut"]
    with pytest.raises(UserError, match=r"larger than 0.001 MB"):
        open_picture(path, megabytes=0.001, megapixels=1)


def test_networks_stand_from_coarse_to_fine_and_one_operator_is_chosen(networks: Networks) -> None:
    assert [label.split()[0] for label in networks.runs] == ["fcn32s", "fcn16s", "fcn8s", "fcn8s"]
    assert networks.choose_defaults() == [f"{m} bilinear" for m in ("fcn32s", "fcn16s", "fcn8s")]


def test_a_network_is_loaded_once_and_when_asked_for(folder: Path) -> None:
    networks = Networks([folder])
    assert networks.predictor.cache_info().currsize == 0
    assert networks.predictor("fcn8s nearest") is networks.predictor("fcn8s nearest")
    assert networks.predictor.cache_info().currsize == 1


def test_of_one_model_each_operator_is_chosen(folder: Path) -> None:
    networks = Networks(sorted(folder.glob("model=fcn8s*")))
    assert networks.choose_defaults() == ["bilinear", "nearest"]


def test_runs_that_differ_in_nothing_are_told_apart_by_their_folders(networks: Networks) -> None:
    run = networks.runs["fcn32s bilinear"]
    found = label_runs([run, replace(run, folder=Path("copy"))])
    assert list(found) == ["fcn32s bilinear tiny", "fcn32s bilinear tiny (copy)"]


def test_scenes_come_with_their_truth_or_are_drawn(networks: Networks, tmp_path: Path) -> None:
    kept = networks.load_scenes()
    assert [scene.name for scene in kept] == list(next(iter(networks.runs.values())).names)
    assert all(s.truth is not None and s.truth.shape == s.image.shape[:2] for s in kept)
    drawn = Networks([nets.write_runs(tmp_path, predictions=False)]).load_scenes()
    assert drawn
    assert all(scene.truth is None for scene in drawn)


def test_streets_are_drawn_where_what_a_run_has_kept_is_damaged(tmp_path: Path) -> None:
    folder = nets.write_runs(tmp_path)
    for path in folder.rglob("predictions.zip"):
        with zipfile.ZipFile(path) as kept:
            names = kept.namelist()
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as kept:
            for name in names:
                kept.writestr(name, b"no picture" * 99)
            places = [kept.getinfo(name).header_offset + 30 + len(name) for name in names]
        content = bytearray(path.read_bytes())
        for place in places:
            content[place] |= 6  # a kind of block that deflate does not have
        path.write_bytes(bytes(content))
    assert all(scene.truth is None for scene in Networks([folder]).load_scenes())


def test_scenes_are_the_largest_pictures_and_photographs_before_drawings(tmp_path: Path) -> None:
    kinds = {"small": (48, "camvid11"), "tall": (96, "camvid11"), "wide": (144, "synthetic11")}
    for name, (height, classes) in kinds.items():
        frames, source = nets.fakeruns.street(6, (height, 64))
        protocol = f"{classes}-{height}x64-void_ignored-segnet_split"
        run = nets.fakeruns.write_run(tmp_path / name, frames, source, protocol=protocol)
        nets.add_weights(run, "fcn8s", "bilinear", source.classes, source.palette)
    both = Networks([tmp_path]), Networks([tmp_path / "wide"])
    heights = [{scene.image.shape[0] for scene in networks.load_scenes()} for networks in both]
    assert heights == [{96}, {144}]


DAMAGE = {
    "metrics.json": b"{",
    "confusions.npz": b"PK no archive",
    "config.yaml": b"a: [",
    "checkpoints/best.ckpt": b"no weights",
    "predictions.zip": b"no archive",
}


@pytest.mark.parametrize("file", DAMAGE)
def test_a_damaged_run_is_left_out_or_named_and_the_others_are_shown(
    file: str, folder: Path, tmp_path: Path
) -> None:
    from fcn_lab.demo.page import Panel, list_damaged

    folder = shutil.copytree(folder, tmp_path / "copied")
    spoilt = folder / "model=fcn8s,upsample=nearest,seed=0"
    (spoilt / file).write_bytes(DAMAGE[file])
    networks = Networks([folder])
    left = [one for one in networks.damages if file in one.reason]
    assert (len(left), len(networks.runs)) in ((1, 3), (0, 4))
    assert bool(left) == (file in ("metrics.json", "confusions.npz", "config.yaml"))
    assert ("nearest" in list_damaged(networks.damages)) == bool(left)
    panel = Panel(networks, 1, 1)
    labels = list(networks.runs)
    answers = list(panel.ask_networks(panel.scenes[0], labels, 0.5, *[1.0] * len(networks.classes)))
    # each network is shown as soon as it has answered
    counts = [len(scene.views) for scene, _, _ in answers]
    assert counts == sorted(counts)
    assert {*range(4)} <= {*counts}
    scene, _, trouble = answers[-1]
    assert len(scene.views) == 3 + (file == "predictions.zip")
    assert ("fcn8s nearest: " in trouble) == (file == "checkpoints/best.ckpt")
    # and while one works, the page says which
    for number, label in enumerate(labels):
        assert f"{label} labels " in answers[number][2]
        assert f"pixels ({number + 1} of {len(labels)})" in answers[number][2]
    assert 'role="status"' not in trouble


def test_runs_of_which_none_can_be_read_are_named(tmp_path: Path) -> None:
    folder = nets.write_runs(tmp_path)
    for path in folder.rglob("metrics.json"):
        path.write_text("")
    with pytest.raises(UserError, match=r"metrics\.json: .*\nNo run there"):
        Networks([folder])


def test_what_is_shown_says_the_accuracy_of_each_network(networks: Networks) -> None:
    scene = networks.load_scenes()[0]
    label = networks.choose_defaults()[0]
    predictor = networks.predictor(label)
    scene.views[label] = networks.ask(label, scene.image)
    opacity = [0.5] * len(networks.classes)
    shown = tiles.render(scene, networks.classes, predictor.palette, opacity, {label: Record(0.25)})
    assert scene.truth is not None
    seen = scene.truth != 255
    right = (predictor(scene.image) == scene.truth)[seen].mean()
    assert f">{100 * right:.1f}</td>" in shown
    assert ">25.0</td>" in shown
    assert shown.count("<img") == 2 + 3 + 1  # picture and truth, what one network said, the scale


@pytest.fixture
def mixed(folder: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Two sweeps of the same networks, scored by two protocols."""
    first, second = (shutil.copytree(folder, tmp_path / name) for name in ("first", "second"))
    for path in second.rglob("metrics.json"):
        path.write_text(path.read_text().replace("-48x64-", "-96x128-"))
    return first, second


def test_networks_of_two_protocols_label_one_picture(mixed: tuple[Path, Path]) -> None:
    networks = Networks(mixed)
    assert len(networks.runs) == 8
    pair = ["fcn8s nearest 48x64", "fcn8s nearest 96x128"]
    assert set(pair) <= set(networks.runs)
    scene = networks.load_scenes()[0]
    scene.views.update({label: networks.ask(label, scene.image) for label in pair})
    np.testing.assert_array_equal(scene.views[pair[0]].labels, scene.views[pair[1]].labels)
    colours = [(0, 0, 0)] * len(networks.classes)
    shown = tiles.render(scene, networks.classes, colours, [1] * len(colours), networks.records)
    assert "mean IoU, %" not in shown
    assert "scored by different protocols" in shown
    del scene.views[pair[1]]
    shown = tiles.render(scene, networks.classes, colours, [1] * len(colours), networks.records)
    assert "mean IoU, %" in shown


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda names: names[::-1], "the same 11, in another order"),
        (lambda names: ["Heaven", *names[1:]], "only the first has Sky, only the second has Heav"),
        (lambda names: [*"abcdefghijk"], "has Sky, Building, Pole and 8 more, only the second"),
    ],
)
def test_networks_of_other_classes_are_refused(
    change: Callable[[list[str]], list[str]], told: str, folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(folder, tmp_path / "runs")
    odd = folder / "model=fcn8s,upsample=nearest,seed=0"
    with np.load(odd / "confusions.npz") as kept:
        content = dict(kept)
    content["classes"] = np.array(change(content["classes"].tolist()))
    np.savez(odd / "confusions.npz", **content)
    with pytest.raises(UserError, match=rf"{odd.name} have different classes: .*{told}.*\n") as one:
        Networks([folder])
    assert "as 3 of these 4 runs have; leave the others out" in str(one.value)


def test_the_command_line_names_what_is_missing(type_line: TypeLine, tmp_path: Path) -> None:
    assert "needs runs=FOLDER" in type_line("task=demo").err
    assert "no such folder" in type_line("task=demo", "runs=nowhere").err
    frames, source = nets.fakeruns.street(6)
    nets.fakeruns.write_run(tmp_path / "scored", frames, source)
    ended = type_line("task=demo", "runs=scored")
    assert ended.status == 2
    assert "kept its weights" in ended.err
    assert "an integer" in type_line("task=demo", "runs=scored", "demo.port=high").err


def test_a_port_that_is_taken_is_named(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=f"demo.port={port}: cannot listen there"):
            Demo(str(folder), port=port).run()


def test_gradio_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'fcn-lab\[demo\]'"):
        Demo("runs")

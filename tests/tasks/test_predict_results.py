"""What predict writes: under the input's place, each result by a name of its own, over nothing."""

import os
import random
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np
import pytest
from PIL import Image

from fcn_lab.errors import UserError
from fcn_lab.inference.predictor import Predictor
from fcn_lab.tasks.inputs import InputFile, find_inputs
from fcn_lab.tasks.naming import list_result_files, name_results
from fcn_lab.tasks.predict import Predict
from fcn_lab.tasks.results import Results
from fcn_lab.text.terminal import format_count
from support.tiny import Net, Squares, load_weights, make_train
from support.videos import film

RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    make_train({"max_epochs": 1}).run(folder)
    return folder


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def draw(*places: str) -> None:
    """Different pictures, so that a label tells whose it is."""
    for place in map(Path, places):
        place.parent.mkdir(parents=True, exist_ok=True)
        pixels = RNG.integers(0, 256, (6, 8, 3), np.uint8)
        Image.fromarray(pixels).save(place, "PNG")


def predict(
    run: Path, given: str | Sequence[str], output: str = "out", overwrite: bool = False
) -> None:
    Predict(run, Net(), given, output, overwrite=overwrite).run(Path())


def files(folder: str = "out") -> set[str]:
    root = Path(folder)
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def labels(path: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def expected(run: Path, path: str) -> np.ndarray:
    predictor = Predictor(load_weights(Net(), run), Squares().classes, Squares().palette)
    with Image.open(path) as image:
        return predictor(np.asarray(image))


INPUTS = {
    "a folder with folders": ("in", ["in/000.png", "in/A/000.png", "in/B/c/000.png"]),
    "a pattern over folders": ("in/*/*.png", ["in/A/000.png", "in/B/000.png"]),
    "two folders": (["in/A", "in/B"], ["in/A/000.png", "in/B/000.png"]),
    "two files": (["in/A/000.png", "in/B/000.png"], ["in/A/000.png", "in/B/000.png"]),
    "a file and the folder that holds it": (["in/A/000.png", "in"], ["in/A/000.png", "in/b.png"]),
}


@pytest.mark.parametrize("case", INPUTS)
def test_results_lie_under_the_inputs_relative_path(
    case: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, there = INPUTS[case]
    draw(*there)
    predict(run, given)
    places = [place.removeprefix("in/").removesuffix(".png") for place in there]
    assert files() == {f"{p}{end}" for p in places for end in (".png", "_overlay.png")}
    for place in places:
        assert np.array_equal(labels(f"out/{place}.png"), expected(run, f"in/{place}.png"))
    count = len(there)
    told = f"{count} of {format_count(count, 'file')} labelled: {2 * count} files written"
    assert told in capsys.readouterr().out


MEETING = {
    "two endings": ["a.png", "a.jpg"],
    "an overlay's name": ["x.png", "x_overlay.png"],
    "case": ["a.png", "A.png", "b.PNG", "b.png"],
    "unicode's forms": ["é.png", "e\u0301.png"],
    "an ending twice": ["a.png", "a.jpg", "a.png.png", "a.jpg.png"],
    "a folder called like a label": ["x.jpg", "x.png/y.jpg"],
    "long names": ["a" * 250 + ".png", "a" * 250 + ".jpg", "é" * 125 + ".png"],
}


@pytest.mark.parametrize("case", MEETING)
def test_every_input_has_results_of_its_own(
    case: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = MEETING[case]
    draw(*(f"in/{name}" for name in there))
    Predict(run, Net(), "in", "out", scores=True).run(Path())
    assert len({unicodedata.normalize("NFC", name).casefold() for name in files()}) == 3 * len(
        there
    )
    assert f"{3 * len(there)} files written" in capsys.readouterr().out
    found = find_inputs("in", Path("out"))
    for given, name in zip(found.files, name_results(found.files), strict=True):
        assert np.array_equal(labels(f"out/{name}.png"), expected(run, str(given.path)))
        assert np.load(f"out/{name}.npz")["scores"].argmax(0).shape == (6, 8)


def test_a_videos_frames_and_pictures_do_not_meet(run: Path) -> None:
    draw("in/drive/000000.png", "in/drive.png", "in/drive_overlay.mp4.png")
    frames = film(Path("in/drive.avi"), 3)
    predict(run, "in")
    assert len(files()) == 2 * 3 + len(frames) + 1
    assert labels("out/drive/000000.png").shape == (6, 8)
    assert np.array_equal(labels("out/drive/000000.png"), expected(run, "in/drive/000000.png"))


def fold(path: PurePath) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold()


def test_no_tree_of_files_makes_two_results_meet() -> None:
    """Against a file system that takes A for a: a file is no folder, and no name is there twice."""
    dice = random.Random(0)
    words = ["a", "A", "a_overlay", "a.png", "a_overlay.png", "b", "000000", "a.mp4", "a.png-2"]
    for _ in range(100):
        names = {
            "/".join(dice.choices(words, k=dice.randint(1, 3)))
            + dice.choice([".png", ".jpg", ".mp4"])
            for _ in range(dice.randint(2, 12))
        }
        given = [InputFile(PurePath(name), Path(name)) for name in sorted(names)]
        made: set[str] = set()
        folders: set[str] = set()
        own: set[str] = set()
        for file, name in zip(given, name_results(given), strict=True):
            assert name.parent == file.relative_path.parent
            results = list(list_result_files(name, file.is_video))
            if file.is_video:
                own.add(fold(results[0]))
                results[0] = results[0] / "000000.png"
            for result in results:
                assert fold(result) not in made
                made.add(fold(result))
                folders |= {fold(parent) for parent in result.parents}
        assert not made & folders
        for folder in own:
            inside = [name for name in made if name.startswith(f"{folder}/")]
            assert inside == [f"{folder}/000000.png"]


def test_nothing_that_was_there_is_overwritten(run: Path) -> None:
    draw("in/a.png", "in/b.png")
    Path("out").mkdir()
    Path("out/b_overlay.png").write_text("mine")
    with pytest.raises(UserError, match=r"holds b_overlay\.png already") as caught:
        predict(run, "in")
    assert "overwrite=true" in str(caught.value)
    assert files() == {"b_overlay.png"}
    predict(run, "in", overwrite=True)
    assert labels("out/b_overlay.png").shape == (6, 8, 3)
    with pytest.raises(UserError, match=r"a\.png and 3 more of the results' names already"):
        predict(run, "in")


def test_a_videos_folder_is_replaced_whole_or_not_at_all(run: Path) -> None:
    Path("in").mkdir()
    film(Path("in/drive.avi"), 5)
    predict(run, "in")
    film(Path("in/drive.avi"), 3)
    Path("out/drive/notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds .*drive.* already"):
        predict(run, "in")
    predict(run, "in", overwrite=True)
    assert files() == {
        *(f"drive/00000{frame}.png" for frame in range(3)),
        *("drive/notes.txt", "drive_overlay.mp4"),
    }


def test_a_frame_of_a_videos_folder_that_is_an_input_is_never_replaced(run: Path) -> None:
    draw("out/clip/000000.png")
    before = Path("out/clip/000000.png").read_bytes()
    film(Path("clip.avi"), 2)
    with pytest.raises(UserError, match=r"000000\.png is to be labelled"):
        predict(run, ["out/clip/000000.png", "clip.avi"], overwrite=True)
    assert Path("out/clip/000000.png").read_bytes() == before


def test_a_file_in_the_place_of_a_videos_folder_is_refused_with_what_helps(run: Path) -> None:
    Path("out").mkdir()
    Path("out/clip").write_text("mine")
    film(Path("clip.avi"), 2)
    for overwrite in (False, True):
        with pytest.raises(UserError, match=r"clip is a file, .*\nType output= with another"):
            predict(run, "clip.avi", overwrite=overwrite)


def test_what_an_input_is_a_link_to_is_never_replaced(run: Path) -> None:
    draw("out/a.png")
    before = Path("out/a.png").read_bytes()
    Path("in").mkdir()
    Path("in/a.png").symlink_to("../out/a.png")
    with pytest.raises(UserError, match=r"out/a\.png is to be labelled"):
        predict(run, "in", overwrite=True)
    assert Path("out/a.png").read_bytes() == before


def test_a_folder_is_searched_for_what_the_network_was_trained_on(tmp_path: Path) -> None:
    Path("in").mkdir()
    np.save("in/a.npy", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(UserError, match=r"holds 1 × \.npy"):
        find_inputs("in", Path("out"))
    found = find_inputs("in", Path("out"), ["bands/*.npy"])
    assert [file.path.name for file in found.files] == ["a.npy"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_links_are_not_followed_out_of_the_output(run: Path, overwrite: bool) -> None:
    draw("in/A/000.png")
    for folder in ("out", "elsewhere"):
        Path(folder).mkdir()
    Path("out/A").symlink_to("../elsewhere", target_is_directory=True)
    with pytest.raises(UserError, match="out/A is a link out of it"):
        predict(run, "in/*/*.png", overwrite=overwrite)
    assert files("elsewhere") == set()


def test_an_output_that_is_a_link_to_itself_is_named(run: Path) -> None:
    draw("in/a.png")
    Path("out").symlink_to("out")
    with pytest.raises(UserError, match=r"^out cannot be written"):
        predict(run, "in")


@pytest.mark.parametrize("target", ["mine.png", "nothing.png"])
def test_a_link_in_a_results_place_is_replaced_and_not_written_through(
    run: Path, target: str
) -> None:
    draw("in/a.png", "mine.png")
    before = Path("mine.png").read_bytes()
    Path("out").mkdir()
    Path("out/a.png").symlink_to(f"../{target}")
    with pytest.raises(UserError, match=r"holds a\.png already"):
        predict(run, "in")
    predict(run, "in", overwrite=True)
    assert not Path("out/a.png").is_symlink()
    assert Path("mine.png").read_bytes() == before
    assert not Path("nothing.png").exists()


def test_a_linked_video_folder_is_not_written_through(run: Path) -> None:
    for folder in ("in", "out", "elsewhere"):
        Path(folder).mkdir()
    film(Path("in/drive.avi"), 2)
    Path("elsewhere/000000.png").write_text("mine")
    Path("out/drive").symlink_to("../elsewhere", target_is_directory=True)
    with pytest.raises(UserError, match="out/drive is a link out of it"):
        predict(run, "in", overwrite=True)
    assert Path("elsewhere/000000.png").read_text() == "mine"


def test_an_output_that_is_itself_a_link_is_written_to(run: Path) -> None:
    draw("in/A/000.png")
    Path("elsewhere").mkdir()
    Path("out").symlink_to("elsewhere", target_is_directory=True)
    predict(run, "in/*/*.png")
    assert files("elsewhere") == {"A/000.png", "A/000_overlay.png"}


def test_an_output_inside_the_input_is_not_labelled_again(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw("in/a.png", "in/A/b.png")
    for given in ("in", "in/**/*.png"):
        predict(run, given, "in/out", overwrite=True)
        assert files("in/out") == {"a.png", "a_overlay.png", "A/b.png", "A/b_overlay.png"}
    assert "4 files in in/out itself are not labelled" in capsys.readouterr().out


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("given", "output"),
    [("in", "in"), ("in/A", "in/A"), (["in/A", "in/B"], "in"), ("in/A/A", "in")],
)
def test_inputs_are_never_replaced(
    run: Path, given: str | list[str], output: str, overwrite: bool
) -> None:
    draw("in/a.png", "in/A/000.png", "in/B/000.png", "in/A/A/000.png")
    before = {name: Path("in", name).read_bytes() for name in files("in")}
    if given == "in/A/A":
        given = ["in/A/A", "in/A/000.png"]  # in/A/A/000.png would get the place in/A/000.png
    with pytest.raises(UserError, match=r"overwrite it|is to be labelled"):
        predict(run, given, output, overwrite)
    assert {name: Path("in", name).read_bytes() for name in files("in")} == before


@pytest.mark.parametrize("output", ["in/a.png", "in/a.png/deeper", "/proc/nothing"])
def test_a_place_that_cannot_be_written_is_named(run: Path, output: str) -> None:
    draw("in/a.png")
    with pytest.raises(UserError, match=r"cannot be written|is a folder") as caught:
        predict(run, "in/a.png", output)
    assert str(caught.value).count("\n") == 1


def test_what_was_written_before_a_disk_is_full_is_kept_and_nothing_is_half(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(*(f"in/{name}.png" for name in "abc"))
    whole, writes = Image.Image.save, []

    def save(image: Image.Image, place: Path) -> None:
        writes.append(place)
        if len(writes) == 4:
            place.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        whole(image, place)

    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(UserError, match=r"out/b_overlay\.png .*no space.*\nKept: 3 files "):
        predict(run, "in")
    assert {path.name for path in Path("out").iterdir()} == {"a.png", "a_overlay.png", "b.png"}


def test_a_name_taken_while_we_compute_is_not_overwritten(tmp_path: Path) -> None:
    results = Results(tmp_path, overwrite=False, inputs=[])
    name = PurePath("a.png")
    results.claim([name], [])

    def write_late() -> None:
        with results.draft(name) as draft:
            draft.write_text("ours")
            (tmp_path / name).write_text("theirs")

    with pytest.raises(UserError, match=r"holds a\.png already"):
        write_late()
    assert (tmp_path / name).read_text() == "theirs"
    assert os.listdir(tmp_path) == ["a.png"]


def test_links_that_lead_round_end_and_hidden_files_are_left_alone(run: Path) -> None:
    draw("in/A/a.png", "in/.hidden/b.png", "in/._a.png")
    Path("in/A/up").symlink_to("..", target_is_directory=True)
    Path("in/B").symlink_to("A", target_is_directory=True)
    for given in ("in", "in/**/*.png"):
        found = [str(one.relative_path) for one in find_inputs(given, Path("out")).files]
        assert found == ["A/a.png", "B/a.png"]


def test_strange_names_neither_stop_a_command_nor_speak_to_the_terminal(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["[red]x[/nothing].png", "\x1b[31mred.png", "a\nb.png", os.fsdecode(b"\xff.png")]
    draw(*(f"in/{name}" for name in names))
    Path("in/\x1b[2Jbad.png").touch()
    with pytest.raises(UserError, match=r"1 of 5 .*\\x1b\[2Jbad\.png"):
        predict(run, "in")
    assert len(files()) == 2 * 4
    assert "\x1b" not in capsys.readouterr().out

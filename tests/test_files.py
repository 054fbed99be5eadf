"""What is written is whole or not there, and a place that takes nothing is named."""

import errno
import multiprocessing
import os
import re
import resource
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from fcn_lab import errors, files
from fcn_lab.data.packs.drafts import JOURNAL, hold_draft
from fcn_lab.errors import WriteFailure

WRITERS: dict[str, Callable[[Path], None]] = {
    "bytes": lambda path: files.write_bytes(path, b"new" * 99),
    "text": lambda path: files.write_text(path, "new" * 99),
    "json": lambda path: files.write_json(path, ["new"] * 99),
    "buffer": lambda path: _fill(path),
    "draft": lambda path: _draft(path),
}


def _fill(path: Path) -> None:
    with files.write_buffer(path) as buffer:
        buffer.write(b"new" * 99)


def _draft(path: Path) -> None:
    with files.write_draft(path) as draft:
        draft.write_bytes(b"new" * 99)


def refuse(number: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_cannot_be_renamed_leaves_the_old_one_and_nothing_beside(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    monkeypatch.setattr(Path, "replace", refuse(errno.ENOSPC))
    with pytest.raises(WriteFailure, match=rf"^{path} cannot be written: no space .*\n.+\.$"):
        WRITERS[name](path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_too_large_for_its_place_is_not_there_at_all(name: str, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, limits[1]))
    try:
        with pytest.raises(WriteFailure, match="larger than is allowed there"):
            WRITERS[name](tmp_path / "file")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == []


def test_a_copy_that_finds_no_room_names_where_it_was_to_lie(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"new" * 99)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, limits[1]))
    try:
        with pytest.raises(OSError, match="large") as caught:
            shutil.copyfile(source, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(errors.find_refusal(caught.value)).startswith(f"{target} cannot be written: ")


@pytest.mark.parametrize("number", errors._REFUSALS)
def test_each_refusal_of_the_system_is_two_lines_that_name_the_place(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", refuse(number))
    with pytest.raises(WriteFailure) as caught:
        files.write_text(tmp_path / "file", "text")
    first, second = str(caught.value).split("\n")
    assert first.startswith(f"{tmp_path / 'file'} cannot be written: ")
    assert "Errno" not in first
    assert second.endswith(".")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("file/inside", "a part of its path is a file"),
        ("nowhere/inside", "its folder does not exist"),
        ("n" * 300, "the name is too long"),
        ("folder", "a folder has this name"),
    ],
)
def test_a_place_that_cannot_be_is_told_from_others(place: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(WriteFailure, match=words):
        files.write_text(tmp_path / place, "text")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_a_name_of_the_greatest_length_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    files.write_text(path, "text")
    assert path.read_text() == "text"


def test_an_error_about_a_file_that_is_read_is_not_taken_for_the_place(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), files.write_draft(tmp_path / "run" / "file"):
        (tmp_path / "data" / "picture.png").read_bytes()


def test_no_pattern_of_a_reader_finds_a_draft(tmp_path: Path) -> None:
    with files.write_draft(tmp_path / "1.json") as draft:
        draft.write_text("half")
        for pattern in ("*.json", "**/*.json", "[0-9]*", "*.png"):
            assert list(tmp_path.glob(pattern)) == []
    assert [path.name for path in tmp_path.iterdir()] == ["1.json"]


def test_what_a_killed_process_left_is_cleared_when_it_is_old(tmp_path: Path) -> None:
    old, fresh, folder = (files.create_draft_path(tmp_path / "x") for _ in range(3))
    old.write_text("")
    fresh.write_text("")
    folder.mkdir()
    (tmp_path / "kept").write_text("")
    os.utime(old, (1, 1))
    os.utime(folder, (1, 1))
    files.clear_drafts(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([fresh.name, "kept"])


def test_what_a_process_is_still_writing_is_kept_however_old(tmp_path: Path) -> None:
    """Of a large data set nothing may be written to the folder itself for hours."""
    with hold_draft(tmp_path / "pack", "") as draft:
        assert draft is not None
        os.utime(draft, (1, 1))
        files.clear_drafts(tmp_path, lock=JOURNAL)
        assert draft.exists()
    files.clear_drafts(tmp_path, lock=JOURNAL)
    assert not draft.exists()


def _write_often(path: str, letter: str) -> None:
    for _ in range(50):
        files.write_text(Path(path), letter * 5000)


def test_processes_that_write_one_file_at_a_time_never_mix(tmp_path: Path) -> None:
    path = tmp_path / "file"
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=_write_often, args=(str(path), letter)) for letter in "abc"]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        if path.exists():
            seen.add(path.read_text())
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert {*seen, path.read_text()} <= {letter * 5000 for letter in "abc"}
    assert os.listdir(tmp_path) == ["file"]


def test_a_line_that_does_not_fit_leaves_the_table_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    files.append_text(path, "a,b\r\n")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, limits[1]))
    try:
        with pytest.raises(WriteFailure, match=r"table\.csv cannot be written"):
            files.append_text(path, "1,2\r\n" * 9)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"a,b\r\n"


def test_what_is_added_is_brought_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, texts = tmp_path / "table.csv", list[str]()
    monkeypatch.setattr(os, "fsync", lambda handle: texts.append(path.read_text()))
    for row in "ab":
        files.append_text(path, row)
    assert texts == ["a", "ab"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "folder"
    with suppress(ZeroDivisionError), files.publish_folder(folder) as draft:
        (draft / "one").write_text("")
        raise ZeroDivisionError
    assert os.listdir(tmp_path / "made") == []
    with files.publish_folder(folder) as draft:
        (draft / "one").write_text("")
        assert not folder.exists()
    assert os.listdir(folder) == ["one"]


@pytest.mark.parametrize("whole", [True, False])
def test_a_folder_of_another_process_stays_where_it_is_whole(whole: bool, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with files.publish_folder(folder, lambda _: whole) as draft:
        (draft / "ours").write_text("")
        folder.mkdir()
        (folder / "theirs").write_text("")
    assert os.listdir(folder) == ["theirs" if whole else "ours"]
    assert os.listdir(tmp_path) == ["folder"]


def test_a_folder_that_another_process_moves_aside_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "folder"

    def move_aside(taken: Path) -> bool:
        shutil.rmtree(taken)
        return False

    with files.publish_folder(folder, move_aside) as draft:
        (draft / "ours").write_text("")
        folder.mkdir()
        (folder / "theirs").write_text("")
    assert os.listdir(folder) == ["ours"]
    assert os.listdir(tmp_path) == ["folder"]


def test_a_copied_folder_without_room_names_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text("text")
    monkeypatch.setattr(shutil, "copy2", refuse(errno.ENOSPC))
    full = pytest.raises(WriteFailure, match="copy cannot be written: no space is left")
    with full, files.publish_folder(tmp_path / "copy") as draft:
        shutil.copytree(tmp_path / "source", draft / "x", copy_function=shutil.copy2)
    assert os.listdir(tmp_path) == ["source"]


# what writes by itself, and why it may: into folders that are published whole, or as they come
WRITES_ITSELF = {
    "data/packs/writing.py": "arrays of a folder that is published whole",
    "data/packs/drafts.py": "that folder, which the next process may go on with, and its lock",
    "data/archives.py": "files below the draft of a folder that is published whole",
    "data/download.py": "what was received so far, to be taken up again",
    "worker/supervisor.py": "a log grows as the worker prints",
    "demo/uploads.py": "temporary files",
    "tasks/results.py": "results of their own rules on what may be replaced",
    "runs/attempts.py": "an empty file that only one process can make",
}
WRITING = re.compile(
    r"\.write_(text|bytes)\(|\bopen\([^)]*[\"'][waxr]b?\+?[\"']|\.mkdir\(|\.makedirs\("
)


def test_nothing_else_writes_files_by_itself() -> None:
    package = Path(files.__file__).parent
    found = set()
    for path in package.rglob("*.py"):
        lines = [line for line in path.read_text().splitlines() if WRITING.search(line)]
        written = [line for line in lines if not re.search(r"[\"']rb?[\"']", line)]
        if any("draft." not in line for line in written) and path.name != "files.py":
            found.add(path.relative_to(package).as_posix())
    assert found <= set(WRITES_ITSELF)

"""The exceptions a user meets, among them what a full or read-only place says."""

import difflib
import errno
import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fcn_lab.text.escaping import terminal_text

_ROOM = "Make room there, or choose another folder"
_OTHER = "Choose a folder that this user may write to"
_NETWORK = "See to the connection and type the same command, or choose a folder on a local disk"
# the system's error → what it means for a place, and what to do
_REFUSALS = {
    errno.ENOSPC: ("no space is left on its disk", _ROOM),
    errno.EDQUOT: ("the disk quota is used up", _ROOM),
    errno.EFBIG: ("the file would be larger than is allowed there", f"{_ROOM} (see `ulimit -f`)"),
    errno.EROFS: ("the place is read-only", _OTHER),
    errno.EACCES: ("this user may not write there", _OTHER),
    errno.EPERM: ("this user may not write there", _OTHER),
    errno.ESTALE: ("the network file system there has lost it", _NETWORK),
    errno.ETIMEDOUT: ("the network file system there does not answer", _NETWORK),
    errno.EHOSTDOWN: ("the server of its network file system is down", _NETWORK),
    errno.EHOSTUNREACH: ("the server of its network file system is out of reach", _NETWORK),
    errno.ENOTCONN: ("its network file system is not connected", _NETWORK),
    errno.EIO: ("its disk, or the server of its network file system, reports an error", _NETWORK),
    errno.ENAMETOOLONG: ("the name is too long", "Choose a shorter one"),
    errno.ENOTDIR: ("a part of its path is a file and no folder", "Choose another folder"),
    errno.EEXIST: ("a file that is no folder has this name", "Choose another folder"),
    errno.EISDIR: ("a folder has this name", "Choose another name, or remove the folder"),
    errno.ENOENT: ("its folder does not exist, or no longer", "Choose another folder"),
}
# those of the system's errors that occur only when something is written
_WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.ENAMETOOLONG)


class UserError(ValueError):
    """A user's mistake: one or two lines that say what was wrong, what was expected, what to type.

    The entry layer prints it without a traceback and ends with exit status 2.
    """

    def __init__(self, text: str = "") -> None:
        # a loader's worker passes it on with its traceback in front
        if text.startswith("Caught UserError in DataLoader worker"):
            text = text.rpartition("UserError: ")[2].strip()
        # it may quote a stranger's file, whose control characters no terminal may obey
        super().__init__("\n".join(map(terminal_text, text.split("\n"))))


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's text, and the error's kind where it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def suggest(word: str, options: Iterable[str]) -> str:
    """Returns "Did you mean …?" to append, or "" where no option is similar."""
    options = list(options)
    matches = difflib.get_close_matches(word, options, n=1) or [
        option for option in options if option.rpartition(".")[2] == word.rpartition(".")[2]
    ]
    return f" Did you mean {matches[0]}?" if matches else ""


def require_known(names: Iterable[str], parameters: Iterable[str], maker: str) -> None:
    """Refuses names of arguments that a class or function does not take.

    Raises:
        UserError: it has no such argument; the message has a similar one, and all there are.
    """
    parameters = list(parameters)
    for name in names:
        if name not in parameters:
            raise UserError(
                f"{maker} has no argument {name}.{suggest(name, parameters)}\n"
                f"It takes {', '.join(parameters) or 'none'}"
            )


class SweepFailure(Exception):
    """The end of a sweep in which a cell failed; the last lines of the output have named it."""


class WriteFailure(UserError):
    """The error of a place that takes no file; it has the place, the reason and what to do."""


@contextmanager
def guard_writing(path: Path, advice: str = "") -> Iterator[None]:
    """Turns the system's errors about writing at `path` into two lines for the user.

    Errors that name a file elsewhere, say one that could not be read, pass through.

    Args:
        path: what is being written, which the message names.
        advice: what to do, where the caller knows it better than the system's error tells.

    Raises:
        WriteFailure: the block raised an OSError about `path` or its folder.
    """
    try:
        yield
    except OSError as error:
        if not _is_about(error, path):
            raise
        raise WriteFailure(explain_refusal(error, path, advice)) from error


def explain_refusal(error: OSError, path: Path, advice: str = "") -> str:
    """Returns two lines: the place and the reason, then what to do."""
    # shutil gathers the errors of a copied folder as texts
    text = str(error.args[0][0][-1] if isinstance(error, shutil.Error) else error)
    number = next((n for n in _REFUSALS if n == error.errno or f"[Errno {n}]" in text), 0)
    reason, remedy = _REFUSALS.get(number, (error.strerror or text, _OTHER))
    return f"{path} cannot be written: {reason}.\n{advice or remedy}."


class Omissions:
    """Collects what could not be written, where the work goes on since its result is worth more."""

    def __init__(self) -> None:
        self.errors: list[WriteFailure] = []

    @contextmanager
    def note(self) -> Iterator[None]:
        """Ends a block that could not write, and notes the reason."""
        try:
            yield
        except WriteFailure as error:
            self.errors.append(error)


def find_refusal(error: BaseException, *folders: Path) -> str | None:
    """Returns a message where an error stems from a full or read-only place, else None.

    It is for errors of libraries, which write to folders of their own and often do not name them.

    Args:
        error: the error that was raised.
        folders: folders that it may be about, besides those of temporary files and caches.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and "No usable temporary directory" in str(cause):
            return "no folder for temporary files can be written.\nTMPDIR= names another."
        if isinstance(cause, OSError) and (cause.errno in _WRITE_ERRORS or _makes_folder(cause)):
            candidates = (*folders, *list_usual_folders())
            full_folder = next(
                (folder for folder in candidates if _is_tight(folder)),
                (*folders, Path("a file"))[0],
            )
            return explain_refusal(cause, Path(_find_name(cause) or full_folder))
        cause = cause.__cause__ or cause.__context__
    return None


def list_usual_folders() -> Iterator[Path]:
    """Yields the working folder, the home folder and that of temporary files, if they exist."""
    queries: tuple[Callable[[], Path | str], ...] = (Path.cwd, Path.home, tempfile.gettempdir)
    for query in queries:
        with suppress(OSError, RuntimeError):
            yield Path(query())


def _makes_folder(error: OSError) -> bool:
    """Returns whether the error is about making a folder, whose path may lead through a file."""
    names = {frame.name for frame in traceback.extract_tb(error.__traceback__)}
    return error.errno in _REFUSALS and not names.isdisjoint({"mkdir", "makedirs"})


def _is_tight(folder: Path) -> bool:
    """Returns whether the disk of a folder is read-only or has less than a megabyte left."""
    with suppress(OSError):
        disk = os.statvfs(folder)
        return bool(disk.f_flag & os.ST_RDONLY) or disk.f_bavail * disk.f_frsize < 1 << 20
    return False


def _is_about(error: OSError, path: Path) -> bool:
    name = _find_name(error)
    if name is None:
        return True
    error_path = Path(name)
    return error_path.is_relative_to(path.parent) or path.is_relative_to(error_path)


def _find_name(error: OSError) -> str | None:
    # a copy or a rename names two files; the second is the one that has no room
    second = error.filename2 if error.errno in _WRITE_ERRORS else None
    name = error.filename if second is None else second
    return None if name is None else os.fsdecode(name)

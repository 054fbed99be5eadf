"""The folders of runs that ``runs=`` names; a command line checks them before libraries load."""

from collections.abc import Sequence
from pathlib import Path

from fcn_lab.errors import UserError


def list_folders(folders: str | Sequence[str]) -> list[Path]:
    """Returns the folders that ``runs=FOLDER`` or ``runs=[A,B]`` names."""
    return [Path(folders)] if isinstance(folders, str) else [Path(folder) for folder in folders]


def require_folders(folders: object) -> None:
    """Refuses folders that do not exist, and what is no folder's name.

    Raises:
        UserError: one does not; the message names it.
    """
    is_list = isinstance(folders, Sequence) and not isinstance(folders, str)
    for folder in folders if is_list else [folders]:  # type: ignore[attr-defined]
        if not str(folder) or not Path(str(folder)).is_dir():
            raise UserError(f"runs={folder}: there is no such folder; expected runs or a sweep")

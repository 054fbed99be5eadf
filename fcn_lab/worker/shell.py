"""Checks what a process gets from its shell, before anything else reads it.

Libraries read the environment while they are imported; a mistake in it then leads to an error in
their words, to an endless wait, or to silence.
"""

import importlib
import io
import locale
import os
import re
import sys
from typing import Any, TextIO

from fcn_lab.errors import UserError
from fcn_lab.training.ranks import check_ranks

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
THREAD_LIMIT = 1024
# the beginning of variables that replace arguments which a trainer does not get
LIGHTNINGS_PREFIX = "PL_TRAINER_"
# variable → the library that refuses unknown values of it while it is imported
READ_ON_IMPORT = {"TORCH_LOGS": "torch", "MPLBACKEND": "matplotlib"}


def check_shell() -> None:
    """Refuses variables and folders that would lead to errors further on.

    Raises:
        UserError: a variable is wrong, or the working folder is gone; the message names it.
    """
    check_ranks()
    try:
        os.getcwd()
    except OSError as error:
        raise UserError(
            f"the folder that this was typed in is gone, or closed ({error.strerror}).\n"
            "Type: cd FOLDER, to one that exists"
        ) from error
    for name in THREAD_VARIABLES:
        value = os.environ.get(name) or "1"
        # OMP_NUM_THREADS lists one number a level of nested threads
        numbers = [n.strip() for n in value.split(",")]
        if not all(n.isdecimal() and 0 < int(n) <= THREAD_LIMIT for n in numbers):
            raise UserError(
                f"{name}={value} in the environment: expected a number of threads, "
                f"1 to {THREAD_LIMIT}.\nType: unset {name}"
            )
    for name in os.environ:
        if name.startswith(LIGHTNINGS_PREFIX):
            raise UserError(
                f"{name} in the environment: Lightning would take its value in silence, and no "
                f"record of the run would say so.\nType: unset {name}"
            )
    for name, library in READ_ON_IMPORT.items():
        if text := os.environ.get(name):
            try:
                importlib.import_module(library)
            except ValueError as error:
                reason = re.split(r"[;\n]", str(error).strip())[0]
                raise UserError(
                    f"{name}={text} in the environment: {library} refuses it ({reason}).\n"
                    f"Type: unset {name}"
                ) from error


def mend_width() -> None:
    """Removes a width or height of 0, which some terminals report and which would hide all output.

    They stand in COLUMNS and LINES.
    """
    for name in ("COLUMNS", "LINES"):
        if os.environ.get(name, "1").strip("0 ") == "":
            del os.environ[name]


def speak_utf8() -> None:
    """Starts this very process anew where texts and names would be read in another encoding."""
    encoding = locale.getpreferredencoding(False).lower().replace("-", "")
    if not sys.flags.utf8_mode and encoding != "utf8":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def mend_streams() -> None:
    """Gives the three streams a place each, and lets no print fail.

    The next file that is opened would take the place of a closed one. And a reader that has gone, a
    full disk behind ``> log`` or a letter that the terminal lacks are no reason to end a training.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # opening takes the lowest free number, which is this one
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    # a stream that was replaced stays as it is
    if sys.stdout is sys.__stdout__:
        sys.stdout = _open_lenient(1, sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _open_lenient(2, sys.stderr)


class _LenientFile(io.FileIO):
    """Takes what it is given, and drops what the other end does not take."""

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - whatever holds bytes
        try:
            return super().write(data)
        except OSError:
            return len(data)


def _open_lenient(number: int, stream: TextIO | None) -> TextIO:
    file = _LenientFile(number, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(file),
        encoding=stream.encoding if stream is not None else "utf-8",
        errors="backslashreplace",
        line_buffering=number == 2 or file.isatty(),
    )

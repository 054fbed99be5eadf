"""Writes the commands that the lab prints, so that they run when pasted into the same shell."""

import os
import shlex
import shutil
import sys
from pathlib import Path

# tells workers how a person starts the lab
START_VARIABLE = "FCN_LAB_STARTED"
# tells workers what was typed
COMMAND_VARIABLE = "FCN_LAB_COMMAND"


def format_command(*words: str) -> str:
    """Returns a command line in which every word is quoted that a shell would change."""
    start = os.environ.get(START_VARIABLE) or "python run.py"
    # a repeated command may already hold a word that all commands begin with; Python's own -m is
    # none
    _, is_module, flags = start.partition(" -m fcn_lab")
    kept_words = f" {flags if is_module else start} "
    further_words = [word for word in map(quote, words) if f" {word} " not in kept_words]
    return f"{start} {' '.join(further_words)}"


def format_repetition(*further_words: str) -> str:
    """Returns the command that was typed, and further words of it."""
    typed_words = shlex.split(os.environ.get(COMMAND_VARIABLE) or shlex.join(sys.argv))[1:]
    return format_command(*typed_words, *(w for w in further_words if w not in typed_words))


def keep_flags(*flags: str) -> None:
    """Adds these flags to the beginning of every command that is printed from now on."""
    words = [os.environ.get(START_VARIABLE) or "python run.py", *map(quote, flags)]
    os.environ[START_VARIABLE] = " ".join(words)


def quote(word: str) -> str:
    """Returns the word quoted for a shell; bytes that are not UTF-8 in the way of bash and zsh."""
    if word.isascii() or not any("\udc80" <= letter <= "\udcff" for letter in word):
        return shlex.quote(word)
    letters = (
        f"\\x{byte:02x}" if byte > 126 or chr(byte) in "\\'" else chr(byte)
        for byte in os.fsencode(word)
    )
    return f"$'{''.join(letters)}'"


def format_start() -> str:
    """Returns how this process was started: ``python run.py``, or ``fcn-lab`` with its path."""
    script = Path(sys.argv[0])
    if script.name == "fcn-lab":
        is_on_path = shutil.which("fcn-lab") == str(script)
        return "fcn-lab" if is_on_path else shlex.quote(str(script))
    if script.name == "__main__.py":
        return shlex.join([_find_python(), "-m", "fcn_lab"])
    return shlex.join([_find_python(), str(script)])


def format_tool(name: str, *words: str) -> str:
    """Returns the command of a program beside this Python, by its path where needed."""
    return " ".join([shlex.quote(_find_name(Path(sys.executable), name)), *map(quote, words)])


def format_operand(path: Path) -> str:
    """Returns a path that no program takes for an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)


def find_opener() -> str | None:
    """Returns the program that opens files on this desktop; None where there is no desktop."""
    if sys.platform == "darwin":
        return "open"
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return "xdg-open" if display and shutil.which("xdg-open") else None


def _find_python() -> str:
    """Returns the short name where that is this very Python, else its path."""
    return _find_name(Path(sys.executable), "python", sys.executable)


def _find_name(python: Path, name: str, fallback: str | None = None) -> str:
    """Returns the name of a program beside Python where the shell finds that one, else its path."""
    program = shutil.which(name)
    # links are not followed: a virtual environment's Python is a link to the system's
    if program is not None and Path(program).parent == python.parent:
        return name
    path = Path(fallback) if fallback else python.with_name(name)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)

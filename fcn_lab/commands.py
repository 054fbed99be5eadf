"""The next command, as it is printed: pasted into the shell that it is read in, it runs."""

import os
import shlex
import shutil
import sys
from pathlib import Path

STARTED = "FCN_LAB_STARTED"  # by which workers know how a person starts the lab


def format_command(*words: str) -> str:
    """A whole command line, every word quoted that a shell would read otherwise."""
    return f"{os.environ.get(STARTED) or 'python run.py'} {' '.join(map(quote, words))}"


def quote(word: str) -> str:
    """The word as a shell reads it; bytes that are no UTF-8 as bash and zsh spell them."""
    if word.isascii() or not any("\udc80" <= letter <= "\udcff" for letter in word):
        return shlex.quote(word)
    spelt = (
        f"\\x{byte:02x}" if byte > 126 or chr(byte) in "\\'" else chr(byte)
        for byte in os.fsencode(word)
    )
    return f"$'{''.join(spelt)}'"


def format_start() -> str:
    """How this process was started: ``python run.py``, ``fcn-lab``, with paths where needed."""
    script = Path(sys.argv[0])
    if script.name == "fcn-lab":
        short = shutil.which("fcn-lab") == str(script)
        return "fcn-lab" if short else shlex.quote(str(script))
    if script.name == "__main__.py":
        return shlex.join([_find_python(), "-m", "fcn_lab"])
    return shlex.join([_find_python(), str(script)])


def _find_python() -> str:
    """The short name where that is this very Python, else its path."""
    here, found = Path(sys.executable), shutil.which("python")
    # not where links lead: that of a virtual environment leads to the system's
    if found is not None and Path(found).parent == here.parent:
        return "python"
    return str(here.relative_to(Path.cwd())) if here.is_relative_to(Path.cwd()) else str(here)

"""Keeps the live lines of a terminal apart: bars, and signs that something is waited for."""

from threading import RLock

from rich.progress import Progress
from rich.status import Status


class LiveLines:
    """Shows the innermost of several live lines: two at once leave their remains on the screen."""

    def __init__(self) -> None:
        self._lines: list[Progress | Status] = []
        # timers show lines, too
        self._lock = RLock()

    def show(self, line: Progress | Status) -> None:
        """Shows a line in place of the one that is shown."""
        with self._lock:
            if self._lines:
                self._lines[-1].stop()
            self._lines.append(line)
            line.start()

    def remove(self, line: Progress | Status) -> None:
        """Removes a line if it is there, and shows again the one that it took the place of."""
        with self._lock:
            if line not in self._lines:
                return
            is_shown = self._lines[-1] is line
            self._lines.remove(line)
            if is_shown:
                line.stop()
                if self._lines:
                    self._lines[-1].start()

    def clear(self) -> None:
        """Removes all lines: work that was broken off has not removed its own."""
        with self._lock:
            while self._lines:
                self._lines.pop().stop()


LIVE_LINES = LiveLines()

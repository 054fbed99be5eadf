"""Handles Ctrl-C and SIGTERM as requests to stop, and sets the exit status that tells it."""

import os
import signal
from types import FrameType, TracebackType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StoppedBySignal(SystemExit):
    """Ends the process as a shell expects, with 128 + signal: 130 for Ctrl-C, 143 for SIGTERM."""

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum
        # whether the user has been told what goes on from here
        self.is_told = False


def raise_stopped(signum: int, frame: FrameType | None) -> NoReturn:
    """Ends the process by way of its `finally` blocks; a handler for `signal.signal`."""
    raise StoppedBySignal(signum)


class StopRequest:
    """A context in which the first signal is only noted; the second kills at once.

    Lightning puts handlers of its own in place whenever it starts a loop, so `install` is called
    again behind it.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._previous_handlers = {number: signal.getsignal(number) for number in SIGNALS}

    def __enter__(self) -> "StopRequest":
        self.install()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)

    def install(self) -> None:
        """Puts the handlers in place."""
        for number in SIGNALS:
            signal.signal(number, self._note)

    def obey(self) -> None:
        """Ends the process by way of its `finally` blocks, if a signal was noted.

        Raises:
            StoppedBySignal: it was.
        """
        if self.signum is not None:
            raise StoppedBySignal(self.signum)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
        self.signum = signum

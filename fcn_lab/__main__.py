"""The command line: the console script ``fcn-lab``, ``python -m fcn_lab`` and ``run.py``."""

import signal


def main() -> None:
    """Imports the command line and runs it; Ctrl-C leaves no traceback of an import."""
    handler = signal.getsignal(signal.SIGINT)
    # one that is ignored stays ignored: a shell starts its background jobs so
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from fcn_lab.cli.main import main as run_line

    signal.signal(signal.SIGINT, handler)
    run_line()


if __name__ == "__main__":
    main()

"""Where the command begins (`rewriter`, `python -m rewriter`): signals are answered before anything large is loaded."""

from __future__ import annotations

import os
import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
INTERRUPTED = b"\nrewriter: interrupted before anything was done.\n"


def main() -> None:
    """Load the command line and run it; SIGINT and SIGTERM end it with exit code 130 from the first moment on."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a shell's background
            signal.signal(number, _leave)
    from rewriter.cli import main as run

    for number in SIGNALS:
        if signal.getsignal(number) is _leave:
            signal.signal(number, signal.default_int_handler)
    run()


def _leave(number: int, frame: FrameType | None) -> None:
    """End at once: nothing is open yet, and an exception raised within an import may be lost there."""
    os.write(2, INTERRUPTED)
    os._exit(130)


if __name__ == "__main__":
    main()

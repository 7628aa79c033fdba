"""What tests have computed in another process, which must find it under a module's name."""

from __future__ import annotations

import os
import signal

from rewriter.errors import InputError


def killed(here: int) -> int:
    """Ends the process that computes it, unless that is this one."""
    if os.getpid() != here:
        os.kill(os.getpid(), signal.SIGKILL)
    return 7


def bad_number(text: str) -> int:
    raise InputError(f"{text} is no number.", where="line 3", remedy="Write one.")


def printed(text: str) -> str:
    print(text * 1000)
    return text

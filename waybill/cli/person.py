"""The process -> who is at the keyboard, as the operating system knows them."""

from __future__ import annotations

import os
import pwd


def me() -> str:
    """The user that this process runs as, such as `os:ada`; by number where the system has no name for it.

    By the process's own user id and never by a variable of the environment, which anybody may set.
    """
    number = os.getuid()
    try:
        return f"os:{pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"os:{number}"

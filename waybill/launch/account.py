"""The process -> the operating system's user that runs it, as records name people."""

from __future__ import annotations

import os
import pwd

from waybill.records.person import check_person

OURS = "os:"


def me() -> str:
    """Who runs this process: the operating system's user by its number, such as `os:ada`.

    Environment variables play no part: everybody can set them.

    Raises:
      RecordError: if the operating system's name of the user cannot stand in a record.
    """
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:  # in a container, a number may have no name
        name = str(number)
    return check_person(f"{OURS}{name}")

"""A version's folder under the base path -> nothing, or why it is not what was released under its number.

A base path can be written to by whoever made it. What the record says of a version is its digest, so a bit that flipped, a file more and
old bytes under a new number are all found by the same question, before a version is loaded.
"""

from __future__ import annotations

import pathlib

from waybill.records import digest
from waybill.records.errors import RecordError
from waybill.server.errors import RequestError
from waybill.serving import releases
from waybill.serving.errors import NoSuchRelease
from waybill.store.connection import Store
from waybill.store.errors import StoreError

_MEND = "`waybill doctor --repair` makes the base path again"


def check(store: Store, folder: pathlib.Path) -> None:
    """Compares a folder with the release on record.

    Args:
      store: The lineage store.
      folder: `<base path>/<model>/<version>`.

    Raises:
      RequestError: FAILED_PRECONDITION, with what is there and what was released; UNAVAILABLE if the record cannot be read.
    """
    model, version = folder.parent.name, int(folder.name)
    try:
        expected = releases.find(store, model, version).digest
    except NoSuchRelease as error:
        raise _refused(f"{error}") from error
    except StoreError as error:
        raise RequestError("UNAVAILABLE", f"version {version} is not loaded, because the record of it cannot be read: {error}") from error
    try:
        found = digest.of_tree(folder)
    except (RecordError, OSError) as error:
        found = str(error)
    if found != expected:
        raise _refused(f"{str(folder)!r} does not hold what was released: expected {expected}, found {found}")


def _refused(why: str) -> RequestError:
    return RequestError("FAILED_PRECONDITION", f"the version is not loaded: {why}. {_MEND}; with --no-checks it would be loaded")

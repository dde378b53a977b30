"""A promoted version -> a row of the eval split that it was judged on, as the record leads to it."""

from __future__ import annotations

import functools
import json
import pathlib
from collections.abc import Iterator

from waybill.launch.errors import LaunchError
from waybill.launch.tfrecords import records
from waybill.lineage import chain
from waybill.store.connection import Store
from waybill.store.errors import StoreError
from waybill.store.reads import ArtifactRow

SPLIT = "eval"
_KEPT = 64  # versions whose row is remembered; what belongs to a version does not change


class EvaluatedRows:
    """Rows of promoted versions.

    Args:
      store: The lineage store.
    """

    def __init__(self, store: Store):
        self._store = store
        self.of = functools.lru_cache(_KEPT)(self._of)

    def _of(self, folder: pathlib.Path) -> bytes:
        """The first row of the newest span of the window, as a serialized tf.Example; empty where the record leads to none.

        Args:
          folder: `<base path>/<model>/<version>`.
        """
        try:
            return next(self._rows(folder), b"")
        except (LaunchError, StoreError, OSError, ValueError, KeyError):
            return b""  # the form starts from neutral values; whoever audits the release is told what is wrong

    def _rows(self, folder: pathlib.Path) -> Iterator[bytes]:
        release = chain.release(self._store, folder.parent.name, int(folder.name))
        links = chain.trace(self._store, release) if release else ()
        landed = [link.artifact for link in links if link.artifact.type == "Examples" and link.artifact.properties.get("input_fingerprint")]
        for artifact in sorted(landed, key=_span, reverse=True):
            if SPLIT in json.loads(str(artifact.properties["split_names"])):
                for path in sorted(pathlib.Path(artifact.uri, f"Split-{SPLIT}").iterdir()):
                    yield from records(path)


def _span(artifact: ArtifactRow) -> int:
    return int(artifact.properties["span"])

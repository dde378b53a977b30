"""Where the nodes of one unit of work read and write: what `create_pipeline` is told beside the run spec."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Places:
    """Folders and files, as absolute paths.

    Attributes:
      root: Pipeline root of the unit of work: a folder of its own for each run, span and schema.
      schema_file: The curated schema.
      scratch: Folder that outlives an attempt, for what the next one may go on from; a node uses the folder of its name in it, which is
        removed when the node succeeds.
      releases: The release store of the pipeline's model; versions are folders in it.
    """

    root: str
    schema_file: str
    scratch: str
    releases: str

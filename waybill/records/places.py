"""Where the nodes of one unit of work read and write: what `create_pipeline` is told beside the run spec."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Places:
    """Folders and files, as absolute paths.

    Attributes:
      root: Pipeline root of the unit of work: a folder of its own for each run, span and schema.
      schema_file: The curated schema.
      serving: TensorFlow Serving base path of the pipeline's model; versions are folders in it.
    """

    root: str
    schema_file: str
    serving: str

"""What `waybill graph` and `waybill init` do for all of a test's pipelines, in one process; TFX is imported once."""

from __future__ import annotations

import sys

from waybill.cli import load, main
from waybill.records import settings

if __name__ == "__main__":
    folder = settings.load().home / "pipelines"
    load.names = lambda: sorted(path.parent.name for path in folder.glob("*/pipeline.py"))
    sys.exit(main.main(["graph"]) or main.main(["init"]))

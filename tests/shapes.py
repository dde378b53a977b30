"""A home's lineage and files -> what a disturbed run might have more or less of: executions, events, artifacts, files, rows."""

from __future__ import annotations

import json
import pathlib
import sys
from typing import Any

from waybill.records import settings
from waybill.store import reads
from waybill.store.connection import Store

# TensorBoard names its files by the moment and the process.
_NAMED_BY_CHANCE = ("model", "model_run")


def shape(store: Store, pipeline: str, unit: str, node: str) -> dict[str, Any]:
    """What one node left in one unit of work; executions that only refer to another unit's are left out."""
    done = reads.successful_execution(store, pipeline, unit, node)
    assert done is not None, f"{node} has no finished execution in {unit}"
    outputs = reads.outputs(store, done.id)
    files = {
        key: sorted(str(p.relative_to(a.uri)) for p in pathlib.Path(a.uri).rglob("*") if p.is_file())
        for key, group in outputs.items()
        for a in group
        if key not in _NAMED_BY_CHANCE
    }
    rows = {k: v for group in outputs.values() for a in group for k, v in a.properties.items() if k.startswith("rows_")}
    return {
        "states": [e.state for e in reads.executions(store, pipeline, unit, node) if e.state != "CACHED"],
        "inputs": {key: len(group) for key, group in reads.inputs(store, done.id).items()},
        "outputs": {key: len(group) for key, group in outputs.items()},
        "files": files,
        "rows": rows,
    }


def of_units(home: settings.Settings, pipeline: str, units: dict[str, str]) -> dict[str, Any]:
    """The shapes of some nodes, each in its unit."""
    store = Store(home.store_url)
    return {node: shape(store, pipeline, unit, node) for node, unit in units.items()}


if __name__ == "__main__":  # in TFX's Python, for the tests of Airflow's
    print(json.dumps(of_units(settings.load(), sys.argv[1], json.loads(sys.argv[2]))))

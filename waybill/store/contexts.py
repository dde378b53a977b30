"""A frozen run spec -> the MLMD context of its run, which every execution of the run is associated with."""

from __future__ import annotations

import json

from waybill.records.run_spec import RunSpec
from waybill.store.connection import Store
from waybill.store.errors import NotInitialised

RUN_TYPE = "pipeline_run"  # TFX's own name of this context type


def record_run(store: Store, spec: RunSpec) -> None:
    """Writes the spec and what people search for onto the run's context; the same words when it is done again.

    Raises:
      NotInitialised: if the store does not know TFX's context types yet.
    """
    from ml_metadata import errors
    from ml_metadata.metadata_store import metadata_store
    from ml_metadata.proto import metadata_store_pb2

    mlmd = metadata_store.MetadataStore(store.mlmd_config())
    try:
        type_id = mlmd.get_context_type(RUN_TYPE).id
        known = mlmd.get_context_by_type_and_name(RUN_TYPE, spec.run)
        context = known or metadata_store_pb2.Context(type_id=type_id, name=spec.run)
        for name, value in _properties(spec).items():
            if isinstance(value, int):
                context.custom_properties[name].int_value = value
            else:
                context.custom_properties[name].string_value = value
        mlmd.put_contexts([context])
    except errors.NotFoundError:
        raise NotInitialised("the store has no types yet; make them once with: waybill init") from None
    except errors.AlreadyExistsError:
        record_run(store, spec)  # another process made the context between our look and our write


def _properties(spec: RunSpec) -> dict[str, str | int]:
    return {
        "run_spec": spec.digest,
        "run_spec_json": json.dumps(spec.to_json(), sort_keys=True),
        "pipeline": spec.pipeline,
        "interval_start": spec.interval.start.isoformat(),
        "interval_end": spec.interval.end.isoformat(),
        "span": spec.interval.span,
        "generation": spec.generation,
        "derived_from": spec.derived_from,
        "trigger_kind": spec.trigger.kind,
        "trigger_who": spec.trigger.who,
        "trigger_run": spec.trigger.run,
        "trigger_reason": spec.trigger.reason,
        "code": spec.code.digest,
        "commit": spec.code.commit,
        "environment": spec.environment.digest,
    }

"""A pipeline's newest release -> a page for the terminal: where it is, how good, what it says of real rows, where it came from."""

from __future__ import annotations

import dataclasses
import logging
import math
import pathlib
from collections.abc import Iterator

from components.landed_rows import LandedRows
from waybill.cli import asked
from waybill.cli.asked import TOLERANCE, Otherwise, Question
from waybill.cli.serve_address import Address
from waybill.launch import specs
from waybill.launch.partitions import LandingError
from waybill.launch.process import prepare
from waybill.lineage import chain
from waybill.records import digest, verdict_file
from waybill.records.live_scores import largest_difference
from waybill.records.run_spec import Partition, RunSpec
from waybill.records.settings import Settings
from waybill.records.verdict import Rule
from waybill.store.connection import Store

SHOWN_ROWS = 3


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a release shows when it is looked at.

    Attributes:
      lines: What to print.
      problems: What is not as it should be; empty when the release is sound.
    """

    lines: tuple[str, ...]
    problems: tuple[str, ...]


def summarise(settings: Settings, store: Store, pipeline: str, version: int, server: Address | None = None) -> Summary:
    """Looks at a release from disk and from MLMD, and asks the server that should serve it, if any; nothing is taken on trust."""
    release = chain.release(store, pipeline, version)
    if release is None:
        return Summary((), (f"MLMD has no release {version} of {pipeline}",))
    links = list(chain.trace(store, release))
    path = pathlib.Path(str(release.properties["pushed_destination"]))
    spec = specs.load(settings.specs, str(release.properties["run_spec"]))
    lines, problems = [f"The model: {path}"], []
    if not path.is_dir() or digest.of_tree(path) != release.properties["release_digest"]:
        problems.append(f"{path} does not hold the bytes that were released")
    for part in (_metrics(links), _scores(path, spec, version, server), _story(links, spec)):
        for line in part:
            (problems if line.startswith("!") else lines).append(line.removeprefix("!"))
    return Summary(tuple(lines), tuple(problems))


def _metrics(links: list[chain.Link]) -> Iterator[str]:
    """The metrics the model was released on, against their thresholds."""
    gates = [link.artifact for link in links if link.artifact.properties.get("gate") == "model_gate"]
    rules = [rule for gate in gates for rule in verdict_file.read(pathlib.Path(gate.uri), "model_gate").rules]
    overall = [rule for rule in rules if rule.name.startswith("metrics.") and rule.subject.lower().startswith("overall")]
    if not overall:
        yield "!no metrics are on record for this release"
    yield ""
    yield f"Its metrics, {len(rules)} rules in all:"
    for rule in overall:
        yield f"  {_label(rule):<42} {rule.found:<12} {rule.outcome.value:<10} wanted {rule.expected}"


def _scores(path: pathlib.Path, spec: RunSpec, version: int, server: Address | None) -> Iterator[str]:
    """Scores of rows of the newest partition from the reloaded model, through both signatures, and from the server."""
    prepare(logging.ERROR)
    import tensorflow as tf

    from waybill.serving.saved_model import load

    loaded = load(path)
    kinds = {name: column.dtype for name, column in loaded.columns().items()}
    try:
        landed = _some_rows(spec.window[-1])
    except LandingError as error:
        yield f"!its newest rows cannot be read: {error}"
        return
    rows = [{name: _value(row.get(name, b""), kinds[name]) for name in kinds} for row in landed]
    examples = []
    for row in rows:
        example = tf.train.Example()
        for name, value in row.items():
            _set(example.features.feature[name], value)
        examples.append(example.SerializeToString())
    by_raw, by_example = loaded.score_rows(rows), loaded.score_examples(examples)
    yield ""
    yield f"What it says of {len(rows)} real rows, reloaded from disk, by both signatures:"
    for cells, row, raw, example in zip(landed, rows, by_raw, by_example, strict=True):
        others = [name for name in cells if name not in row]
        shown = ", ".join(f"{name}={_text(cells[name])}" for name in (*row, *others) if cells.get(name))
        yield f"  raw {_score(raw)}  serving_default {_score(example)}  {shown[:100]} ..."
        if not (all(map(math.isfinite, raw)) and largest_difference(raw, example) <= TOLERANCE):
            yield f"!the signatures disagree on a row: raw {raw}, serving_default {example}"
    if not rows:
        yield "!the newest partition has no rows to score"
    elif server:
        yield from _served(server, Question(spec.pipeline, version, loaded.raw_inputs(rows), examples, by_raw, by_example))


def _served(server: Address, question: Question) -> Iterator[str]:
    """What the running server says of the same rows."""
    yield ""
    yield f"What the model server at {server.rest} says of them, raw over REST, serving_default over gRPC:"
    try:
        for raw, example in asked.compared(server, question):
            yield f"  raw {_score(raw)}  serving_default {_score(example)}  by version {question.version}, as from disk"
    except Otherwise as error:
        yield f"!{error}"


def _story(links: list[chain.Link], spec: RunSpec) -> Iterator[str]:
    """The chain from the release back to the landed files, one line per kind of artifact."""
    yield ""
    yield "Where it came from, from the release back to the landed files:"
    shown: dict[str, list[chain.Link]] = {}
    for link in links:
        shown.setdefault(link.artifact.type, []).append(link)
    for kind, group in shown.items():
        made_by = group[0].made_by.rsplit(".", 1)[-1] or "?"
        named = ", ".join(f"{link.artifact.id} {link.artifact.digest[7:15]}" for link in group)
        later = max(link.superseded_by for link in group)
        yield f"  {'  ' * min(group[0].depth, 6)}{kind:<18} {made_by:<22} {named}" + (f"  superseded by g{later}" if later else "")
    reached = {str(link.artifact.properties.get("input_fingerprint", "")) for link in links}
    for partition in spec.window:
        yield f"  {'  ' * 6}landed {partition.interval.label}  {partition.rows} rows  {partition.digest[:23]}"
        if partition.digest not in reached:
            yield f"!the chain does not reach the partition of {partition.interval.label}"


def _label(rule: Rule) -> str:
    return f"{rule.name.removeprefix('metrics.')}, {rule.subject}"


def _some_rows(partition: Partition) -> list[dict[str, bytes]]:
    """Rows from all over the partition, as they were written: evenly spread, the first one among them."""
    source = LandedRows.open(pathlib.Path(partition.path), partition.digest)
    step = max(1, source.manifest.rows // SHOWN_ROWS)
    rows, first = list[dict[str, bytes]](), 0
    for batch in source.batches():
        rows += [row for number, row in enumerate(batch.to_pylist(), start=first) if number % step == 0]
        first += batch.num_rows
    return rows[:SHOWN_ROWS]


def _score(numbers: list[float]) -> str:
    """A row's score; of several, one for each class, the largest."""
    if len(numbers) == 1:
        return f"{numbers[0]:.6f}"
    return f"{max(numbers):.6f} for class {numbers.index(max(numbers))}"


def _text(cell: bytes) -> str:
    """A cell for a person, who cannot read a picture's bytes."""
    text = cell.decode(errors="replace")
    return text if text.isprintable() and "\ufffd" not in text else f"<{len(cell)} bytes>"


def _value(cell: bytes, dtype: object) -> int | float | bytes | None:
    name = getattr(dtype, "name", "")
    if name == "string":
        return cell
    if not cell:
        return None
    return float(cell) if "float" in name else int(float(cell))


def _set(feature: object, value: int | float | bytes | None) -> None:
    if value is None or value == b"":
        return
    if isinstance(value, bytes):
        feature.bytes_list.value.append(value)  # type: ignore[attr-defined]
    elif isinstance(value, float):
        feature.float_list.value.append(value)  # type: ignore[attr-defined]
    else:
        feature.int64_list.value.append(value)  # type: ignore[attr-defined]

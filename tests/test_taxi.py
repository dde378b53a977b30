"""The taxi pipeline on small real quarters: what is good ends as a release, what is bad stops at the right place and says why."""

from __future__ import annotations

import os
import pathlib
import signal
import threading
import time
from collections.abc import Callable

import pytest
import taxi_data
from harness import Installation, install
from shapes import shape

from pipelines.taxi.pipeline import create_pipeline
from pipelines.taxi.settings import SETTINGS
from waybill.records import digest, verdict_file
from waybill.records.node import NodeResult, Outcome
from waybill.records.verdict import RuleOutcome
from waybill.store import reads

pytestmark = pytest.mark.end_to_end

QUARTERS = ("2013-01-01", "2013-04-01", "2013-07-01")
QUICK = {"train_steps": 400, "window": 4}


def fresh(folder: pathlib.Path) -> Installation:
    folder.mkdir(exist_ok=True)
    return install(folder, SETTINGS, create_pipeline, dict(QUICK))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Installation, dict[str, list[NodeResult]]]:
    """Three quarters run one after the other, undisturbed."""
    taxi = fresh(tmp_path_factory.mktemp("good"))
    results = {}
    for start in QUARTERS:
        taxi.land(start, taxi_data.partition(start))
        results[start] = taxi.run(taxi.freeze(start, f"ticket-{start}"))
    return taxi, results


def releases(taxi: Installation) -> list[str]:
    base = taxi.settings.releases / "taxi"
    return sorted(p.name for p in base.iterdir() if p.name.isdigit()) if base.exists() else []


def last(results: list[NodeResult]) -> NodeResult:
    return results[-1]


def test_three_quarters_end_as_three_releases_numbered_by_their_data(good: tuple[Installation, dict[str, list[NodeResult]]]) -> None:
    taxi, results = good
    assert [last(r).extra["promotion"]["outcome"] for r in results.values()] == ["held"] * 3, "nobody scheduled them"
    assert releases(taxi) == ["20130401000001", "20130701000001", "20131001000001"]


def test_the_second_quarter_made_only_what_the_first_had_not(good: tuple[Installation, dict[str, list[NodeResult]]]) -> None:
    _, results = good
    shared = [(r.node, r.outcome) for r in results["2013-04-01"] if r.node in ("schema_gen", "example_gen")]
    assert shared == [("schema_gen", Outcome.CACHED), ("example_gen", Outcome.CACHED), ("example_gen", Outcome.COMPLETE)]


def test_the_second_quarter_is_compared_with_the_release_of_the_first(good: tuple[Installation, dict[str, list[NodeResult]]]) -> None:
    _, results = good
    baseline = {start: next(r.message for r in found if r.node == "baseline") for start, found in results.items()}
    assert "no baseline yet" in baseline["2013-01-01"]
    assert "release 20130401000001" in baseline["2013-04-01"]
    gates = {start: next(r.message for r in found if r.node == "model_gate") for start, found in results.items()}
    assert "no baseline" in gates["2013-01-01"]
    assert "no baseline" not in gates["2013-04-01"]


def test_the_release_is_the_model_that_was_judged(good: tuple[Installation, dict[str, list[NodeResult]]]) -> None:
    taxi, results = good
    pushed = next(result for result in results["2013-04-01"] if result.node == "pusher")
    model = reads.inputs(taxi.store, pushed.execution)["model"][0]
    release = taxi.settings.releases / "taxi" / "20130701000001"
    assert digest.of_tree(release) == digest.of_tree(pathlib.Path(model.uri, "Format-Serving"))


def test_the_exported_model_says_of_the_whole_eval_split_what_the_trained_one_said(
    good: tuple[Installation, dict[str, list[NodeResult]]],
) -> None:
    taxi, results = good
    for found in results.values():
        node = next(r for r in found if r.node == "infra_validator")
        [verdict] = reads.outputs(taxi.store, node.execution)["verdict"]
        rules = {rule.name: rule for rule in verdict_file.read(pathlib.Path(verdict.uri), "infra_validator").rules}
        assert rules["infra.trained"].outcome is RuleOutcome.PASS, rules["infra.trained"].sentence()
        assert rules["infra.process"].outcome is RuleOutcome.PASS


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (taxi_data.without_payment_type, "payment_type"),
        (taxi_data.new_payment_type_in_a_tenth, "Barter"),
        (taxi_data.nan_in_fare, "fare"),
        (taxi_data.words_in_fare, "fare"),
    ],
)
def test_bad_data_stop_at_the_data_gate_with_the_reason(
    tmp_path: pathlib.Path, spoil: Callable[[taxi_data.Rows], taxi_data.Rows], says: str
) -> None:
    taxi = fresh(tmp_path)
    taxi.land("2013-01-01", taxi_data.partition("2013-01-01", spoil))
    stopped = last(taxi.run(taxi.freeze("2013-01-01")))
    assert (stopped.node, stopped.outcome) == ("data_gate", Outcome.BLOCKED)
    assert says in stopped.message
    assert "201301010000" in stopped.message or "2013-01-01" in stopped.message
    assert releases(taxi) == []


@pytest.mark.parametrize(
    ("spoil", "says"),
    [(taxi_data.labels_shuffled, "auc"), (taxi_data.one_company_tipped_at_random, f"company = {taxi_data.RUINED}")],
)
def test_a_bad_model_stops_at_the_model_gate_with_the_reason(
    tmp_path: pathlib.Path, spoil: Callable[[taxi_data.Rows], taxi_data.Rows], says: str
) -> None:
    taxi = fresh(tmp_path)
    taxi.land("2013-01-01", taxi_data.partition("2013-01-01", spoil))
    stopped = last(taxi.run(taxi.freeze("2013-01-01")))
    assert (stopped.node, stopped.outcome) == ("model_gate", Outcome.BLOCKED)
    assert says in stopped.message
    assert releases(taxi) == []


def test_every_row_of_every_span_arrives_at_transform(good: tuple[Installation, dict[str, list[NodeResult]]]) -> None:
    _, results = good
    for number, found in enumerate(results.values(), start=1):
        [gate] = [r for r in found if r.node == "model_gate"]
        verdict = verdict_file.read(pathlib.Path(gate.outputs["verdict"][0].uri), "model_gate")
        [rule] = [r for r in verdict.rules if r.name == "rows.transformed"]
        landed = sum(len(taxi_data.trips()[start]) for start in QUARTERS[:number])
        assert (rule.outcome, rule.found.split(" (")[0]) == (RuleOutcome.PASS, f"{landed} rows")


def test_a_blocked_quarter_is_left_out_of_the_window_of_the_next(tmp_path: pathlib.Path) -> None:
    taxi = fresh(tmp_path)
    taxi.land("2013-01-01", taxi_data.partition("2013-01-01", taxi_data.new_payment_type_in_a_tenth))
    taxi.land("2013-04-01", taxi_data.partition("2013-04-01"))
    results = {r.node: r for r in taxi.run(taxi.freeze("2013-04-01"), upto="transform")}
    assert results["data_gate"].outcome is Outcome.COMPLETE
    assert "window.left_out on span 201301010000" in results["data_gate"].message
    assert "Barter" in results["data_gate"].message
    given = reads.inputs(taxi.store, results["transform"].execution)["examples"]
    assert [a.properties["span"] for a in given] == [201304010000]


def test_fares_in_cents_stop_at_the_data_gate_as_drift(tmp_path: pathlib.Path) -> None:
    taxi = fresh(tmp_path)
    taxi.land("2013-01-01", taxi_data.partition("2013-01-01"))
    taxi.land("2013-04-01", taxi_data.partition("2013-04-01", taxi_data.fares_in_cents))
    stopped = last(taxi.run(taxi.freeze("2013-04-01")))
    assert (stopped.node, stopped.outcome) == ("data_gate", Outcome.BLOCKED)
    assert "drift.jensen_shannon_divergence on fare, split train of span 201304010000" in stopped.message


def test_bytes_that_change_after_the_freeze_stop_at_example_gen(tmp_path: pathlib.Path) -> None:
    taxi = fresh(tmp_path)
    taxi.land("2013-01-01", taxi_data.partition("2013-01-01", rows=50))
    spec = taxi.freeze("2013-01-01")
    taxi.land("2013-01-01", taxi_data.partition("2013-01-01", rows=60))
    stopped = last(taxi.run(spec))
    assert (stopped.node, stopped.outcome) == ("example_gen", Outcome.CORRUPT)
    assert not stopped.retried


@pytest.mark.parametrize("at_once", [True, False])
def test_the_quarters_in_parallel_and_in_reverse_give_the_same_spans_windows_and_vocabularies(
    tmp_path: pathlib.Path, good: tuple[Installation, dict[str, list[NodeResult]]], at_once: bool
) -> None:
    forwards, results = good
    backwards = fresh(tmp_path)
    for start in results:
        backwards.land(start, taxi_data.partition(start))
    specs = {start: backwards.freeze(start, f"other-{start}") for start in reversed(list(results))}
    workers = [threading.Thread(target=backwards.run, args=(spec,), kwargs={"upto": "transform"}) for spec in specs.values()]
    for worker in workers:
        worker.start()
        if not at_once:
            worker.join()
    for worker in workers:
        worker.join()
    assert made(backwards, specs) == made(forwards, dict.fromkeys(results))


def made(taxi: Installation, starts: dict) -> dict[str, list[str]]:
    """Digests of what each run's transform read, and of the vocabularies it wrote."""
    found = {}
    for start in starts:
        unit = f"taxi.{taxi.interval(start).span}.g1"
        execution = reads.successful_execution(taxi.store, "taxi", unit, "transform")
        graph = reads.outputs(taxi.store, execution.id)["transform_graph"][0]
        vocabularies = sorted(pathlib.Path(graph.uri).rglob("assets/*"))
        found[start] = [a.digest for a in reads.inputs(taxi.store, execution.id)["examples"]]
        found[start] += [f"{p.name} {digest.of_file(p)}" for p in vocabularies]
        assert vocabularies, "transform wrote no vocabulary"
    return found


def test_a_run_whose_every_node_is_killed_in_its_work_ends_well_with_exactly_the_undisturbed_records(
    tmp_path: pathlib.Path, good: tuple[Installation, dict[str, list[NodeResult]]]
) -> None:
    undisturbed, results = good
    taxi = fresh(tmp_path)
    taxi.land("2013-01-01", taxi_data.partition("2013-01-01"))
    spec = taxi.freeze("2013-01-01", "ticket-2013-01-01")
    first, second = {}, {}
    for node, index in [(r.node, 0 if ".span." in r.run else None) for r in results["2013-01-01"]]:
        first[node] = killed_in_its_work(taxi, node, lambda node=node, index=index: taxi.node(spec, node, index=index))
        second[node] = taxi.node(spec, node, index=index, attempt=2)
    killed = {node for node, result in first.items() if result.outcome is Outcome.KILLED}
    assert killed >= {"example_gen", "statistics_gen", "transform", "trainer", "evaluator"}, "the others may be too quick to be caught"
    assert {result.outcome for result in second.values()} == {Outcome.COMPLETE}
    for calm in results["2013-01-01"]:
        assert shape(taxi.store, "taxi", calm.run, calm.node) == shape(undisturbed.store, "taxi", calm.run, calm.node), calm.node
    assert releases(taxi) == ["20130401000001"]


def killed_in_its_work(taxi: Installation, node: str, work: Callable[[], NodeResult]) -> NodeResult:
    """Runs a node and kills the process that has written the first byte of the node's output."""
    found: list[NodeResult] = []
    worker = threading.Thread(target=lambda: found.append(work()))
    worker.start()
    deadline = time.monotonic() + 120
    while worker.is_alive() and time.monotonic() < deadline:
        if list(taxi.settings.artifacts.rglob(f"{node}/*")):
            for process in children_of_children():
                os.kill(process, signal.SIGKILL)
            break
        time.sleep(0.005)
    worker.join()
    return found[0]


def children_of_children() -> list[int]:
    """The processes two levels below this one: a node's own, under its supervisor."""
    parents = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rsplit(") ", 1)[1].split()[1])
        except OSError:
            continue
    return [pid for pid, parent in parents.items() if parents.get(parent) == os.getpid()]

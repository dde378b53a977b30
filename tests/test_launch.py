"""What the launcher promises of one node, each trap of TFX with a test that fails without its remedy."""

from __future__ import annotations

import dataclasses
import pathlib
import sqlite3
import threading
import time

import postgres
import pytest
from harness import Installation, make_tiny
from tfx.orchestration.portable.input_resolution import channel_resolver
from tfx.orchestration.portable.mlmd import execution_lib

from waybill.launch import launcher, units
from waybill.launch.replaced import UnknownSource
from waybill.records import digest
from waybill.records.node import Outcome
from waybill.store import reads


@pytest.fixture
def tiny(tmp_path: pathlib.Path) -> Installation:
    made = make_tiny(tmp_path)
    made.land("2013-01-01")
    made.land("2013-04-01")
    return made


def fault(tiny: Installation, node: str, action: str) -> None:
    (tiny.faults / node).write_text(action)


def facts(tiny: Installation) -> dict[str, int]:
    """How many rows MLMD has of everything that a disturbed run might double."""
    with sqlite3.connect(tiny.store.file) as connection:
        tables = ("Execution", "Artifact", "Event", "Association", "Attribution", "Context")
        return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}


def contents(tiny: Installation, unit: str) -> dict[str, str]:
    root = tiny.settings.artifacts / "tiny" / unit
    return {str(p.relative_to(root)): p.read_text() for p in sorted(root.rglob("*")) if p.is_file() and ".system" not in p.parts}


def test_a_run_ends_with_a_release_whose_chain_reaches_the_partitions(tiny: Installation) -> None:
    spec = tiny.freeze("2013-04-01")
    results = tiny.run(spec)
    assert [r.outcome for r in results] == [Outcome.COMPLETE] * len(results)
    model = reads.inputs(tiny.store, results[-1].execution)["model"][0]
    trainer = reads.producer(tiny.store, model.id)
    examples = reads.inputs(tiny.store, trainer)["examples"]
    assert [a.properties["interval_start"][:10] for a in examples] == ["2013-01-01", "2013-04-01"]


def test_a_killed_run_and_its_retry_end_well_on_postgresql_too(tmp_path: pathlib.Path) -> None:
    with postgres.server() as url:
        tiny = make_tiny(tmp_path, url)
        tiny.land("2013-01-01")
        spec = tiny.freeze("2013-01-01")
        fault(tiny, "trainer", "kill")
        assert tiny.run(spec)[-1].outcome is Outcome.KILLED
        results = tiny.run(spec)
        assert [r.outcome for r in results] == [Outcome.COMPLETE] * len(results)
        again = [tiny.node(spec, node, ticket="ticket-2") for node in ("evaluator", "pusher")][-1]
        assert again.run == "tiny.201301010000.g2"
        assert again.outcome is Outcome.COMPLETE


def test_outputs_carry_the_digest_of_their_bytes_and_where_they_came_from(tiny: Installation) -> None:
    spec = tiny.freeze("2013-04-01")
    [result] = [r for r in tiny.run(spec) if r.node == "trainer"]
    [ref] = result.outputs["model"]
    assert ref.digest == digest.of_tree(pathlib.Path(ref.uri))
    stamps = reads.artifacts_by_id(tiny.store, [ref.id])[ref.id].properties
    assert (stamps["generation"], stamps["run_spec"], stamps["interval_start"]) == (1, spec.digest, "2013-04-01T00:00:00+00:00")


def test_an_executor_sees_none_of_the_command_line(tiny: Installation) -> None:
    spec = tiny.freeze("2013-01-01")
    tiny.run(spec, upto="trainer")
    [data] = [text for name, text in contents(tiny, spec.run).items() if name.startswith("trainer")]
    assert data.endswith("|argv:[]")


def test_a_node_without_its_inputs_fails_with_the_cause_on_record_and_is_not_retried(tiny: Installation) -> None:
    spec = tiny.freeze("2013-01-01")
    tiny.node(spec, "schema_gen")
    result = tiny.node(spec, "data_gate")
    assert result.outcome is Outcome.UNRESOLVED and not result.retried
    assert "example_gen has no finished execution" in result.message
    [failed] = reads.executions(tiny.store, "tiny", spec.run, "data_gate")
    assert failed.state == "FAILED" and "example_gen" in failed.properties["failure_cause"]


def test_a_retry_after_unresolved_inputs_leaves_a_whole_chain(tiny: Installation) -> None:
    spec = tiny.freeze("2013-01-01")
    tiny.node(spec, "schema_gen")
    tiny.node(spec, "data_gate")
    tiny.node(spec, "example_gen", index=0)
    result = tiny.node(spec, "data_gate", attempt=2)
    assert result.outcome is Outcome.COMPLETE
    assert len(reads.inputs(tiny.store, result.execution)["examples"]) == 1
    execution = reads.successful_execution(tiny.store, "tiny", spec.run, "data_gate")
    assert "failure_cause" not in execution.properties


def test_an_executor_that_raises_leaves_its_cause_and_a_retry_wipes_it(tiny: Installation) -> None:
    spec = tiny.freeze("2013-01-01")
    tiny.run(spec, upto="data_gate")
    fault(tiny, "trainer", "raise")
    first = tiny.node(spec, "trainer")
    assert first.outcome is Outcome.FAILED and first.retried and "a fault of the executor" in first.message
    [failed] = reads.executions(tiny.store, "tiny", spec.run, "trainer")
    assert failed.state == "FAILED" and "a fault of the executor" in failed.properties["failure_cause"]
    second = tiny.node(spec, "trainer", attempt=2)
    assert second.outcome is Outcome.COMPLETE
    [only] = reads.executions(tiny.store, "tiny", spec.run, "trainer")
    assert only.state == "COMPLETE"
    assert not {"failure_cause", "__execution_result__"} & set(only.properties)


@pytest.mark.parametrize("node", ["example_gen", "trainer"])
def test_a_killed_node_and_its_retry_leave_exactly_what_an_undisturbed_run_leaves(
    tiny: Installation, tmp_path: pathlib.Path, node: str
) -> None:
    (tmp_path / "calm").mkdir()
    calm = make_tiny(tmp_path / "calm")
    calm.land("2013-01-01")
    calm_spec = calm.freeze("2013-01-01")
    calm.run(calm_spec)
    spec = tiny.freeze("2013-01-01")
    fault(tiny, node, "kill")
    killed = tiny.run(spec)[-1]
    assert (killed.node, killed.outcome, killed.retried) == (node, Outcome.KILLED, True)
    open_states = [e.state for e in reads.executions(tiny.store, "tiny", killed.run, node)]
    assert open_states == ["FAILED"]
    assert [r.outcome for r in tiny.run(spec)][-1] is Outcome.COMPLETE
    assert facts(tiny) == facts(calm)
    assert contents(tiny, spec.run) == contents(calm, calm_spec.run)
    put_aside = list(tiny.settings.quarantine.rglob("shard-of-process-*"))
    assert len(put_aside) == 1


def test_a_retry_waits_for_the_killed_attempts_child_that_is_still_writing(tiny: Installation) -> None:
    spec = tiny.freeze("2013-01-01")
    tiny.run(spec, upto="data_gate")
    fault(tiny, "trainer", "orphan")
    assert tiny.node(spec, "trainer").outcome is Outcome.KILLED
    result = tiny.node(spec, "trainer", attempt=2)
    assert result.outcome is Outcome.COMPLETE
    late = list(tiny.settings.quarantine.rglob("late-writer-is-done"))
    assert len(late) == 1, "the late writer must have ended before the retry put its folder aside"
    assert not list(pathlib.Path(result.outputs["model"][0].uri).rglob("late-writer-is-done"))


def test_a_blocked_gate_is_complete_in_mlmd_and_red_for_the_caller(tiny: Installation) -> None:
    spec = tiny.freeze("2013-01-01", verdict="BLOCKED")
    gate = tiny.run(spec)[-1]
    assert (gate.node, gate.outcome, gate.retried) == ("data_gate", Outcome.BLOCKED, False)
    assert "expected PASS, found BLOCKED" in gate.message
    [execution] = reads.executions(tiny.store, "tiny", spec.run, "data_gate")
    assert execution.state == "COMPLETE" and reads.outputs(tiny.store, execution.id)["verdict"]


def test_marking_a_blocked_gate_as_success_lets_nothing_past_it(tiny: Installation) -> None:
    spec = tiny.freeze("2013-01-01", verdict="BLOCKED")
    tiny.run(spec)
    for node in ("trainer", "baseline", "pusher"):
        result = tiny.node(spec, node)
        assert result.outcome is Outcome.REFUSED
        assert "data_gate: BLOCKED" in result.message


def test_an_edited_verdict_is_not_believed(tiny: Installation) -> None:
    spec = tiny.freeze("2013-01-01", verdict="BLOCKED")
    gate = tiny.run(spec)[-1]
    path = pathlib.Path(gate.outputs["verdict"][0].uri, "verdict.json")
    path.write_text(path.read_text().replace("BLOCKED", "PASS").replace('"BLOCK"', '"PASS"'))
    result = tiny.node(spec, "trainer")
    assert result.outcome is Outcome.REFUSED and "cannot be trusted" in result.message


def test_a_changed_input_is_refused(tiny: Installation) -> None:
    spec = tiny.freeze("2013-01-01")
    trainer = tiny.run(spec, upto="trainer")[-1]
    pathlib.Path(trainer.outputs["model"][0].uri, "data").write_text("another model")
    tiny.node(spec, "baseline")
    result = tiny.node(spec, "evaluator")
    assert result.outcome is Outcome.UNRESOLVED and "has changed since it was made" in result.message


def test_the_same_attempt_asked_twice_executes_once(tiny: Installation) -> None:
    spec = tiny.freeze("2013-01-01")
    first = tiny.run(spec)
    again = tiny.run(spec)
    assert [r.execution for r in again] == [r.execution for r in first]
    assert [len(reads.executions(tiny.store, "tiny", spec.run, n)) for n in ("baseline", "trainer")] == [1, 1]


def test_clearing_a_finished_node_begins_the_next_generation_and_really_executes(tiny: Installation) -> None:
    spec = tiny.freeze("2013-04-01")
    first = {r.node: r for r in tiny.run(spec)}
    again = {node: tiny.node(spec, node, ticket="ticket-2") for node in ("trainer", "baseline", "evaluator", "pusher")}
    assert {r.run for r in again.values()} == {"tiny.201304010000.g2"}
    assert all(r.outcome is Outcome.COMPLETE for r in again.values())
    assert again["trainer"].execution != first["trainer"].execution
    version = reads.artifacts_by_id(tiny.store, [again["pusher"].outputs["pushed_model"][0].id])
    assert [a.properties["pushed_version"] for a in version.values()] == ["20130701000002"]


def test_the_next_generation_shows_its_whole_chain_and_each_artifact_keeps_one_producer(tiny: Installation) -> None:
    spec = tiny.freeze("2013-04-01")
    first = {r.node: r for r in tiny.run(spec)}
    pushed = [tiny.node(spec, node, ticket="ticket-2") for node in ("evaluator", "pusher")][-1]
    [taken] = reads.executions(tiny.store, "tiny", "tiny.201304010000.g2", "data_gate")
    assert taken.state == "CACHED" and taken.properties["taken_over_from"] == first["data_gate"].execution
    assert reads.inputs(tiny.store, taken.id)["examples"]
    verdict = reads.inputs(tiny.store, pushed.execution)["verdict"][0]
    assert reads.producer(tiny.store, verdict.id) == first["data_gate"].execution


def test_clearing_a_failed_node_continues_the_generation(tiny: Installation) -> None:
    spec = tiny.freeze("2013-01-01")
    tiny.run(spec, upto="data_gate")
    fault(tiny, "trainer", "raise")
    tiny.node(spec, "trainer")
    result = tiny.node(spec, "trainer", ticket="ticket-after-clear")
    assert result.outcome is Outcome.COMPLETE and result.run == spec.run


def test_other_code_than_the_run_was_frozen_with_is_refused(tiny: Installation) -> None:
    spec = tiny.freeze("2013-01-01")
    other = dataclasses.replace(spec, code=dataclasses.replace(spec.code, digest="sha256:" + "1" * 64), generation=7)
    from waybill.launch import specs
    from waybill.store import generations

    specs.save(tiny.settings.specs, other)
    generations.allocate(tiny.store, "tiny", spec.interval.span, "ticket-other")
    generations.settle(tiny.store, "tiny", spec.interval.span, 2, root=other.digest, spec=other.digest)
    result = tiny.node(other, "schema_gen")
    assert result.outcome is Outcome.REFUSED and "the code has changed since run" in result.message


def test_work_shared_between_runs_is_named_for_code_and_environment_too(tiny: Installation) -> None:
    spec = tiny.freeze("2013-01-01")
    names = {
        units.of_span(variant, 0).name
        for variant in (
            spec,
            dataclasses.replace(spec, code=dataclasses.replace(spec.code, digest="sha256:" + "1" * 64)),
            dataclasses.replace(spec, environment=dataclasses.replace(spec.environment, digest="sha256:" + "2" * 64)),
            dataclasses.replace(spec, schema="sha256:" + "3" * 64),
        )
    }
    assert len(names) == 4


def test_two_runs_at_once_that_need_the_same_span_make_it_once(tiny: Installation) -> None:
    one, two = tiny.freeze("2013-01-01", "ticket-a"), tiny.freeze("2013-04-01", "ticket-b")
    tiny.node(one, "schema_gen")
    results = []
    workers = [threading.Thread(target=lambda s=s: results.append(tiny.node(s, "example_gen", index=0))) for s in (one, two)]
    [w.start() for w in workers]
    [w.join() for w in workers]
    assert sorted(r.outcome.value for r in results) == ["cached", "complete"]
    assert len({r.execution for r in results}) == 1


def test_work_that_another_run_did_is_noted_as_cached_in_the_run_that_uses_it_once(tiny: Installation) -> None:
    one, two = tiny.freeze("2013-01-01", "ticket-a"), tiny.freeze("2013-04-01", "ticket-b")
    [made] = [r for r in tiny.run(one, upto="example_gen") if r.node == "example_gen"]
    found = [tiny.node(two, "example_gen", index=0, attempt=attempt) for attempt in (1, 2)]
    assert [r.outcome for r in found] == [Outcome.CACHED] * 2
    [noted] = reads.executions(tiny.store, "tiny", two.run, "example_gen")
    assert (noted.state, noted.properties["taken_over_from"]) == ("CACHED", made.execution)
    [artifact] = reads.outputs(tiny.store, noted.id)["examples"]
    assert reads.producer(tiny.store, artifact.id) == made.execution
    assert tiny.node(one, "example_gen", index=0, attempt=2).outcome is Outcome.COMPLETE, "the run that made it did not find it"


def test_a_corrected_partition_is_a_new_version_of_the_span(tiny: Installation) -> None:
    before = tiny.freeze("2013-01-01", "ticket-a")
    tiny.run(before, upto="example_gen")
    tiny.land("2013-01-01", "a corrected row")
    after = tiny.freeze("2013-01-01", "ticket-b")
    result = tiny.run(after, upto="example_gen")[-1]
    assert result.outcome is Outcome.COMPLETE
    assert units.of_span(before, 0).name != units.of_span(after, 0).name
    assert before.window[0].version != after.window[0].version


def test_the_baseline_is_the_newest_older_interval_whatever_was_made_last(tiny: Installation) -> None:
    tiny.land("2013-07-01")
    order = ["2013-04-01", "2013-01-01", "2013-07-01"]  # the oldest interval is made after the second
    ended = {start: tiny.run(tiny.freeze(start, f"ticket-{start}", window=1)) for start in order}
    chosen = {start: next(r for r in results if r.node == "baseline") for start, results in ended.items()}
    assert "no baseline yet: none of 1 releases qualifies" in chosen["2013-01-01"].message
    assert "release 20130701000001" in chosen["2013-07-01"].message
    execution = reads.successful_execution(tiny.store, "tiny", "tiny.201307010000.g1", "baseline")
    assert "20130401000001: an older release" in execution.properties["rejected"]


def test_no_look_up_of_tfx_that_loads_the_whole_history_is_used(tiny: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (
        (execution_lib, "get_executions_associated_with_all_contexts"),
        (channel_resolver, "_get_executions_by_all_contexts"),
    ):
        monkeypatch.setattr(module, name, lambda *_: pytest.fail("loads every execution of every context"))
    results = tiny.run(tiny.freeze("2013-04-01"))
    assert [r.outcome for r in results if r.outcome is not Outcome.COMPLETE] == []


def test_another_launcher_of_tfx_than_the_one_ours_overrides_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher.launcher.Launcher, "_publish_failed_execution", lambda self: None)
    launcher.check_seams.cache_clear()
    with pytest.raises(UnknownSource, match="_publish_failed_execution.*locked requirements"):
        launcher.check_seams()


def test_a_hanging_node_dies_with_whoever_started_it(tiny: Installation) -> None:
    import multiprocessing
    import os
    import signal

    spec = tiny.freeze("2013-01-01")
    tiny.run(spec, upto="data_gate")
    fault(tiny, "trainer", "hang")
    starter = multiprocessing.get_context("fork").Process(target=lambda: tiny.node(spec, "trainer"))
    starter.start()
    marker = tiny.faults / "hanging"
    deadline = time.monotonic() + 60
    while not (marker.exists() and marker.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    node = int(marker.read_text())
    supervisor = int(pathlib.Path(f"/proc/{node}/stat").read_text().split(") ")[1].split()[1])
    os.kill(supervisor, signal.SIGKILL)
    starter.join(30)
    deadline = time.monotonic() + 10
    while pathlib.Path(f"/proc/{node}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not pathlib.Path(f"/proc/{node}").exists()
    assert tiny.node(spec, "trainer", attempt=2).outcome is Outcome.COMPLETE

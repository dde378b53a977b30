"""Through the front door: whatever people clear, reprocess, delete and ask for again, each asking is one generation, and nothing else is.

Airflow, its warm host, the launcher, the store, gates and promotion are real; only what the stops compute is not (`staged_pipeline`).
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import os
import pathlib
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from airflow_side import gone
from staged_airflow import ALICE, BOB, ENDED, Staged, finished, staged

from waybill.launch import units
from waybill.lineage import chain
from waybill.records import settings as settings_lib
from waybill.records.interval import parse_moment
from waybill.records.run_spec import RunSpec
from waybill.store import reads

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(not (settings_lib.PROJECT / ".venv/bin/python").is_file(), reason="TFX's Python is not installed; `make test` does"),
]

Q1, Q2, Q3, Q4, Q5, Q6 = QUARTERS = ("2013-01-01", "2013-04-01", "2013-07-01", "2013-10-01", "2014-01-01", "2014-04-01")
ENDS = {"asked": "2014-07-01", "shared": "2014-04-01", "steered": "2014-01-01", "struck": "2013-10-01"}


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Staged]]:
    with staged(tmp_path_factory.mktemp("staged"), ENDS) as found:
        for name, end in ENDS.items():
            for start in (quarter for quarter in QUARTERS if quarter < end):
                found[name].land(start, f"as delivered for {start}")
        yield found


def test_people_who_click_at_the_same_moment_are_all_served(airflow: dict[str, Staged]) -> None:
    play = airflow["steered"]
    with concurrent.futures.ThreadPoolExecutor(8) as people:
        runs = list(people.map(lambda _: play.client.trigger("steered", {"interval_start": Q1})["dag_run_id"], range(24)))
        assert len(set(runs)) == 24
        list(people.map(play.delete, runs))
    assert play.states() == {}


@pytest.fixture(scope="module")
def asked(airflow: dict[str, Staged]) -> Staged:
    """Six quarters of the schedule, and everything by which one can ask for one of them again."""
    play = airflow["asked"]
    client, alice = play.client, play.as_person(ALICE)
    with play.fault(Q5, "evaluator", "raise"), play.fault(Q6, "evaluator", "raise"):
        with play.fault(Q4, "infra_validator", "wait"):
            client.pause("asked", paused=False)
            running = {"evaluator": "success", "infra_validator": "running"}
            play.wait(lambda: {node: play.task(Q4, node).get("state") for node in running} == running, "a task to end beside its sibling")
            client.clear("asked", play.run_of(Q4), ["evaluator"])
            play.wait(lambda: play.tries(play.run_of(Q4), "evaluator") == ["success"] * 2, "the cleared task to run beside its sibling")
        play.wait_for(6)
    client.clear("asked", play.run_of(Q6), ["evaluator"])
    client.clear("asked", play.run_of(Q2), ["trainer"])
    first, _ = play.backfill(ALICE, Q4, Q5, reprocess="failed")
    beside = play.waybill("run", "asked", "--interval", Q1)
    by_hand = {"dag_run_id": "again", "logical_date": None, "conf": {"interval_start": Q3}}
    alice.call("POST", "/dags/asked/dagRuns", by_hand)
    play.wait_for(7)
    play.delete("again")
    alice.call("POST", "/dags/asked/dagRuns", by_hand)
    play.wait_for(7)
    finished(beside)
    play.wait(lambda: client.backfill_ended(first), "Airflow to call the backfill ended")
    play.land(Q4, "corrected")
    play.backfill(ALICE, Q4, Q5, reprocess="completed", conf={"window": 2})
    play.wait_for(7)
    return play


def executed(play: Staged, spec: RunSpec) -> dict[str, list[str]]:
    """States of the executions of a generation's stops, in its own name."""
    return {node: play.state_of(spec.run, node) for node in ("data_gate", "trainer", "evaluator", "infra_validator", "promoter")}


def spans(play: Staged, spec: RunSpec) -> list[reads.ArtifactRow]:
    """The examples of a generation's window, as they were made."""
    found = [play.outputs(units.of_span(spec, index).name, "example_gen")["examples"] for index in range(len(spec.window))]
    return [artifact for [artifact] in found]


def test_a_cleared_task_that_had_failed_goes_on_in_its_generation_and_promotes_as_the_schedule_would_have(asked: Staged) -> None:
    [only] = asked.generations(Q6)
    assert executed(asked, only)["trainer"] == ["COMPLETE"], "what had been done is not done again"
    assert executed(asked, only)["evaluator"][-1] == "COMPLETE"
    assert asked.decided(only.run)[0] == "promoted"


def test_a_cleared_task_that_had_succeeded_begins_the_next_generation_and_refers_to_what_is_before_it(asked: Staged) -> None:
    first, second = asked.generations(Q2)
    assert second.derived_from == first.digest
    made = executed(asked, second)
    assert made.pop("data_gate") == ["CACHED"]
    assert set(map(tuple, made.values())) == {("COMPLETE",)}
    assert asked.outputs(second.run, "data_gate")["verdict"][0].id == asked.outputs(first.run, "data_gate")["verdict"][0].id
    assert spans(asked, first)[0] in reaches(asked, second), "the chain goes on through what was made before"
    outcome, why = asked.decided(second.run)
    assert outcome == "held" and f"the same run was released before as {first.version}" in why
    line = next(line for line in asked.says("releases", "asked").splitlines() if line.startswith(str(first.version)))
    assert "superseded" in line


def reaches(play: Staged, spec: RunSpec) -> list[reads.ArtifactRow]:
    """The examples that a release's chain leads to, those of its baselines included."""
    release = chain.release(play.store, play.name, spec.version)
    return [link.artifact for link in chain.trace(play.store, release) if link.artifact.type == "Examples"]


def test_a_task_cleared_while_its_sibling_works_leaves_the_sibling_alone_and_is_joined_by_what_it_makes(asked: Staged) -> None:
    first, second, _ = asked.generations(Q4)
    assert executed(asked, first) == {
        "data_gate": ["COMPLETE"], "trainer": ["COMPLETE"], "evaluator": ["COMPLETE"], "infra_validator": ["COMPLETE"], "promoter": [],
    }  # fmt: skip
    assert executed(asked, second) == {
        "data_gate": ["CACHED"], "trainer": ["CACHED"], "evaluator": ["COMPLETE"], "infra_validator": ["CACHED"], "promoter": ["COMPLETE"],
    }  # fmt: skip
    assert asked.tries(asked.run_of(Q4), "infra_validator")[0] == "success", "nobody killed it"
    assert asked.decided(second.run)[0] == "promoted", "the run had released nothing before"


def test_a_backfill_that_reprocesses_what_failed_makes_the_next_generation_of_that_alone(asked: Staged) -> None:
    failed, second, _ = asked.generations(Q5)
    assert set(executed(asked, failed)["evaluator"]) == {"FAILED"}
    assert second.derived_from == "" and executed(asked, second)["trainer"] == ["COMPLETE"]
    assert (second.trigger.kind, asked.decided(second.run)[0]) == ("backfill", "held")
    assert [spec.trigger.kind for spec in asked.generations(Q4)] == ["scheduled", "scheduled", "backfill"], "the other one had succeeded"


def test_a_corrected_partition_is_a_new_version_of_its_span_in_every_window_and_the_other_spans_stay(asked: Staged) -> None:
    _, before, own = asked.generations(Q4)
    *_, after = asked.generations(Q5)
    [[delivered], [_, corrected], [of_next, others]] = spans(asked, before), spans(asked, own), spans(asked, after)
    assert corrected.id == of_next.id != delivered.id
    assert corrected.digest != delivered.digest
    assert [others] == spans(asked, asked.generations(Q5)[0])
    assert delivered in reaches(asked, before) and corrected not in reaches(asked, before), "what was made of the old one says so"
    assert corrected in reaches(asked, own) and corrected in reaches(asked, after)


def test_a_manual_run_of_a_quarter_that_the_schedule_has_done_is_a_generation_of_its_own_also_when_it_is_deleted_and_made_again(
    asked: Staged,
) -> None:
    _, second, third = asked.generations(Q3)
    assert second.trigger.run == third.trigger.run == "asked/again"
    assert {(spec.trigger.kind, spec.trigger.who) for spec in (second, third)} == {("manual", ALICE)}
    assert executed(asked, third)["trainer"] == ["COMPLETE"], "Airflow numbers its clears from 0 again, and is not believed"
    assert asked.decided(second.run)[0] == asked.decided(third.run)[0] == "held"


def test_a_run_of_the_command_line_beside_airflow_is_the_next_generation(asked: Staged) -> None:
    _, second = asked.generations(Q1)
    assert (second.trigger.kind, asked.decided(second.run)[0]) == ("command_line", "held")


def test_only_the_schedule_has_promoted_each_quarter_once_and_the_doctor_finds_nothing(asked: Staged) -> None:
    promoted = [(kind, says["version"]) for _, kind, says in asked.journal()]
    first = {quarter: asked.generations(quarter)[0].version for quarter in QUARTERS}
    assert promoted == [("promote", version) for version in (first[Q1], first[Q2], first[Q3], first[Q4] + 1, first[Q6])]
    assert asked.served == [str(first[Q4] + 1), str(first[Q6])]
    assert "no disagreements (asked)" in asked.says("doctor", "asked")


@pytest.fixture(scope="module")
def shared(airflow: dict[str, Staged]) -> Staged:
    """Five quarters of the schedule, two backfills by two people over most of them, runs by hand and a clear, all at once."""
    play = airflow["shared"]
    bob = play.as_person(BOB)
    play.client.pause("shared", paused=False)
    play.wait(lambda: len(play.states()) >= 2, "the schedule to begin")
    mine, refused = play.backfill(ALICE, Q1, Q5, reprocess="completed")
    assert refused == 0
    for start in (Q3, Q2):
        bob.trigger("shared", {"interval_start": start})
    play.wait(lambda: "success" in play.states().values(), "a first run to end")
    bob.clear("shared", next(run for run, state in play.states().items() if state == "success"), ["trainer"])
    _, refused = play.backfill(BOB, Q2, Q5, reprocess="completed")
    assert refused and play.client.backfill_ended(mine), "Airflow lets one backfill of a DAG be active"
    play.wait(lambda: play.states()[play.run_of(Q1)] in ENDED, "the first quarter to end")
    bob.clear("shared", play.run_of(Q1), ["trainer"])
    play.wait_for(7)
    return play


def test_of_two_people_who_backfill_beside_the_schedule_nothing_is_lost_or_doubled(shared: Staged) -> None:
    assert set(shared.states().values()) == {"success"}
    passes: collections.Counter[str] = collections.Counter()
    for run in shared.client.runs("shared"):
        label = str((run["conf"] or {}).get("interval_start") or run["data_interval_start"])[:10]
        tries = shared.tries(str(run["dag_run_id"]), "promoter")
        assert set(tries) == {"success"}
        passes[label] += len(tries)
    quarters = QUARTERS[:5]
    specs = [spec for quarter in quarters for spec in shared.generations(quarter)]
    assert collections.Counter(spec.interval.label for spec in specs) == passes, "one generation for each pass over a run"
    assert shared.released == sorted(str(spec.version) for spec in specs), "and one release for each of them"
    assert all(shared.state_of(spec.run, "promoter") == ["COMPLETE"] for spec in specs)
    assert {spec.trigger.who for spec in specs if spec.trigger.kind == "manual"} == {BOB}


def test_the_schedules_newest_is_served_and_every_baseline_is_older_whoever_else_was_at_work(shared: Staged) -> None:
    specs = [spec for quarter in QUARTERS[:5] for spec in shared.generations(quarter)]
    firsts = {spec.trigger.run: spec for spec in reversed(specs)}.values()
    newest = max(spec.version for spec in firsts if spec.trigger.kind == "scheduled")
    entries = shared.journal()
    assert [number for number, _, _ in entries] == list(range(1, len(entries) + 1))
    assert len({says["version"] for _, _, says in entries}) == len(entries), "none was promoted twice"
    assert shared.served[-1] == str(newest) == str(entries[-1][2]["version"])
    for spec in specs:
        for model in shared.outputs(spec.run, "baseline").get("model", []):
            assert parse_moment(str(model.properties["interval_end"])) <= spec.interval.start
    assert "no disagreements (shared)" in shared.says("doctor", "shared")


@pytest.fixture(scope="module")
def struck(airflow: dict[str, Staged]) -> tuple[Staged, int]:
    """Three quarters of the schedule whose first nodes were at work when the host was killed; the third's model is bad."""
    play = airflow["struck"]
    host = int(play.host["pid"])
    with contextlib.ExitStack() as held, play.fault(Q3, "trainer", "bad"):
        for quarter in (Q1, Q2, Q3):
            held.enter_context(play.fault(quarter, "example_gen", "wait"))
        play.client.pause("struck", paused=False)
        play.wait(lambda: len(play.host["running"]) == 3, "three nodes to be at work")
        at_work = [int(process["pid"]) for process in play.host["running"]]
        os.kill(host, signal.SIGKILL)
        held.close()
        assert gone([host, *at_work])
        play.service.start()
        play.wait_for(3)
    return play, host


def test_nodes_whose_host_is_killed_fail_with_that_cause_and_succeed_when_they_are_tried_again(struck: tuple[Staged, int]) -> None:
    play, host = struck
    assert play.host["pid"] != host
    for quarter in (Q1, Q2, Q3):
        run = play.run_of(quarter)
        assert f"the warm host (process {host}) ended, and with it the node it ran" in play.log(run, "example_gen", 1)
        assert (play.task(quarter, "example_gen")["state"], play.task(quarter, "example_gen")["try_number"]) == ("success", 2)
    assert [play.states()[play.run_of(quarter)] for quarter in (Q1, Q2, Q3)] == ["success", "success", "failed"]
    assert "no disagreements (struck)" in play.says("doctor", "struck")


def test_a_blocked_model_gate_that_is_marked_as_success_lets_nothing_past_it(struck: tuple[Staged, int]) -> None:
    play, _ = struck
    run, released = play.run_of(Q3), play.released
    assert {node: play.task(Q3, node)["state"] for node in ("data_gate", "model_gate")} == {"data_gate": "success", "model_gate": "failed"}
    play.client.set_task_state("struck", run, "model_gate", "success")
    play.client.clear("struck", run, ["pusher"])
    play.wait(lambda: play.task(Q3, "pusher").get("state") == "failed", "the release to be refused")
    assert "needs a PASS of model_gate" in play.log(run, "pusher", int(play.task(Q3, "pusher")["try_number"]))
    assert play.released == released == play.served and len(released) == 2


def test_a_task_that_a_person_marks_as_failed_ends_with_its_process_and_is_not_tried_again(struck: tuple[Staged, int]) -> None:
    play, _ = struck
    host, run = play.host["pid"], str(play.client.trigger("struck", {"interval_start": Q1})["dag_run_id"])

    def evaluator() -> dict[str, Any]:
        return next((task for task in play.client.tasks("struck", run) if task["task_id"] == "evaluator"), {})

    with play.fault(Q1, "evaluator", "wait"):
        play.wait(lambda: any("--node=evaluator" in process["words"] for process in play.host["running"]), "the node to be at work")
        [at_work] = [int(process["pid"]) for process in play.host["running"] if "--node=evaluator" in process["words"]]
        play.client.set_task_state("struck", run, "evaluator", "failed")
        assert gone([at_work], 30), "its process is killed, though it would wait for ever"
        play.wait(lambda: play.states()[run] == "failed", "the run to end")
        assert (evaluator()["state"], evaluator()["try_number"]) == ("failed", 1)
    assert play.host["pid"] == host and play.host["running"] == [], "the host lives on"


@pytest.fixture(scope="module")
def steered(airflow: dict[str, Staged]) -> Staged:
    """Four quarters of the schedule; after the second somebody rolls back, after the third they unpin."""
    play = airflow["steered"]
    with play.fault(Q4, "infra_validator", "wait"):
        with play.fault(Q3, "infra_validator", "wait"):
            play.client.pause("steered", paused=False)
            play.wait(lambda: len(play.served) == 2, "two quarters to be promoted")
            play.wait(lambda: play.task(Q3, "infra_validator").get("state") == "running", "the third to be at work")
            play.says("rollback", "steered", play.served[0], "--why", "it tips too much")
        play.wait(lambda: play.task(Q3, "promoter").get("state") == "success", "the third to end")
        play.says("unpin", "steered", "--why", "mended")
    play.wait_for(4)
    return play


def test_after_a_rollback_the_schedules_next_run_holds_and_after_an_unpin_the_one_after_promotes(steered: Staged) -> None:
    specs = [spec for quarter in QUARTERS[:4] for spec in steered.generations(quarter)]
    first, _, third, fourth = specs
    assert [steered.decided(spec.run)[0] for spec in specs] == ["promoted", "promoted", "held", "promoted"]
    assert f"pinned at {first.version} by decision 3 of os:" in steered.decided(third.run)[1]
    assert [kind for _, kind, _ in steered.journal()] == ["promote", "promote", "rollback", "unpin", "promote"]
    assert steered.served == [str(first.version), str(fourth.version)]


def test_an_airflow_that_has_lost_its_database_makes_all_runs_again_and_changes_nothing_that_is_served(steered: Staged) -> None:
    service, served, journal = steered.service, steered.served, steered.journal()
    before = [spec for quarter in QUARTERS[:4] for spec in steered.generations(quarter)]
    service.stop()
    for file in pathlib.Path(service.home).glob("airflow.db*"):
        file.unlink()
    service.start()
    steered.client.wait_for_dag("steered")
    assert steered.states() == {}
    steered.client.pause("steered", paused=False)
    steered.wait_for(4)
    for quarter, old in zip(QUARTERS, before, strict=False):
        first, again = steered.generations(quarter)
        assert (first, again.trigger.run) == (old, old.trigger.run)
        outcome, why = steered.decided(again.run)
        assert outcome == "held" and f"the same run was released before as {old.version}" in why
    assert (steered.served, steered.journal()) == (served, journal)
    assert len(steered.released) == 8
    assert "no disagreements (steered)" in steered.says("doctor", "steered")

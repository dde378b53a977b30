"""How a node's end becomes the end of its Airflow task, and what the launcher is told."""

from __future__ import annotations

import datetime as dt
import json
import pathlib
import threading
import time

import pytest
from airflow.sdk import RetryAction
from airflow.sdk.exceptions import AirflowRescheduleException
from airflow_side import SPEC, WINDOW, FakeLauncher, TaskInstance, context, dag_run, frozen, gone

from waybill.orchestration import asking
from waybill.orchestration.operator import NodeOperator, RunSpecOperator
from waybill.orchestration.outcome import NodeFailed, NodeStopped
from waybill.records.node import RETRIED, SUCCESSFUL, NodeResult, Outcome, OutputRef
from waybill.records.settings import PROJECT

SETTLED_ELSEWHERE = {Outcome.NOT_LANDED, Outcome.WAITING}  # waits; only run_spec and baseline have them


@pytest.fixture
def launcher(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> FakeLauncher:
    fake = FakeLauncher(tmp_path / "launcher").install()
    monkeypatch.setenv("WAYBILL_TFX_PYTHON", str(fake.python))
    return fake


@pytest.fixture
def trainer() -> NodeOperator:
    return NodeOperator(task_id="trainer")


@pytest.fixture
def run_spec() -> RunSpecOperator:
    return RunSpecOperator(task_id="run_spec", pipeline="tiny")


def options(call: dict) -> dict[str, str]:
    return dict(word[2:].split("=", 1) for word in call["words"] if "=" in word)


@pytest.mark.parametrize("outcome", [Outcome.COMPLETE, Outcome.CACHED])
def test_a_node_that_is_done_or_was_cached_is_a_success_that_says_which(
    launcher: FakeLauncher, trainer: NodeOperator, capsys: pytest.CaptureFixture[str], outcome: Outcome
) -> None:
    outputs = {"model": [OutputRef(9, "/m", "sha256:9")]}
    launcher.answers("trainer", NodeResult("trainer", outcome, "same content as execution 3", "tiny.1.g1", 7, outputs), prints=["epoch 1"])
    assert trainer.execute(context()) == {
        "outcome": outcome.value,
        "message": "same content as execution 3",
        "run": "tiny.1.g1",
        "execution": 7,
    }
    told = capsys.readouterr().out
    for part in ("epoch 1", f"trainer: {outcome.value}", "same content as execution 3", "model: artifact 9"):
        assert part in told


@pytest.mark.parametrize("outcome", [Outcome.BLOCKED, Outcome.LATE, Outcome.EMPTY, Outcome.CORRUPT, Outcome.UNRESOLVED, Outcome.REFUSED])
def test_what_another_attempt_would_not_change_fails_at_once(
    launcher: FakeLauncher, trainer: NodeOperator, capsys: pytest.CaptureFixture[str], outcome: Outcome
) -> None:
    launcher.answers("trainer", NodeResult("trainer", outcome, "gate: BLOCKED by 1 of 3 rules\n  - volume on span 2"))
    with pytest.raises(NodeStopped, match=f"trainer: {outcome.value}: gate: BLOCKED by 1 of 3 rules") as caught:
        trainer.execute(context())
    assert trainer.retry_policy.evaluate(caught.value, 1, 2).action is RetryAction.FAIL
    assert "  - volume on span 2" in capsys.readouterr().out


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.KILLED])
def test_what_another_attempt_may_change_is_retried(launcher: FakeLauncher, trainer: NodeOperator, outcome: Outcome) -> None:
    launcher.answers("trainer", NodeResult("trainer", outcome, "ValueError: NaN"))
    with pytest.raises(NodeFailed, match="ValueError: NaN") as caught:
        trainer.execute(context())
    assert trainer.retry_policy.evaluate(caught.value, 1, 2).action is RetryAction.DEFAULT


def test_no_outcome_is_left_out_of_the_tests_above() -> None:
    tested = {Outcome.COMPLETE, Outcome.CACHED, Outcome.BLOCKED, Outcome.LATE, Outcome.EMPTY, Outcome.CORRUPT, Outcome.UNRESOLVED,
              Outcome.REFUSED, Outcome.FAILED, Outcome.KILLED}  # fmt: skip
    assert tested | SETTLED_ELSEWHERE == set(Outcome)


def test_a_node_is_asked_for_by_spec_name_attempt_position_and_ticket(launcher: FakeLauncher) -> None:
    launcher.answers("example_gen", NodeResult("example_gen", Outcome.COMPLETE, "read"))
    NodeOperator(task_id="example_gen").execute(context(ti=TaskInstance(map_index=1, try_number=3)))
    (call,) = launcher.calls()
    assert call["words"][:2] == ["node", "run"]
    assert options(call) == {
        "spec": SPEC,
        "node": "example_gen",
        "attempt": "3",
        "index": "1",
        "ticket": asking.ticket(dag_run()),
        "asked-by": asking.name(dag_run()),
    }
    assert "--lifeline" in call["words"]


def test_the_command_that_is_run_is_printed(launcher: FakeLauncher, trainer: NodeOperator, capsys: pytest.CaptureFixture[str]) -> None:
    launcher.answers("trainer", NodeResult("trainer", Outcome.COMPLETE, "trained"))
    trainer.execute(context())
    assert f"{launcher.python} -m waybill.cli.main node run --spec={SPEC} --node=trainer" in capsys.readouterr().out


def test_a_node_without_a_frozen_run_is_stopped(trainer: NodeOperator) -> None:
    with pytest.raises(NodeStopped, match="clear run_spec"):
        trainer.execute(context(ti=TaskInstance(xcoms={})))


def test_a_missing_tfx_python_is_named(trainer: NodeOperator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYBILL_TFX_PYTHON", "/nowhere/python")
    with pytest.raises(NodeStopped, match="/nowhere/python"):
        trainer.execute(context())


def test_run_spec_returns_the_window_and_leaves_spec_and_run(launcher: FakeLauncher, run_spec: RunSpecOperator) -> None:
    ti = TaskInstance(xcoms={})
    launcher.answers("run_spec", frozen())
    assert run_spec.execute(context(ti=ti)) == WINDOW
    assert ti.xcoms == {"spec": SPEC, "run": "tiny.201304010000.g1", "processes": 3}


@pytest.mark.parametrize("lacking", [{"window": []}, {"spec": ""}])
def test_a_run_of_nothing_is_a_failure_not_a_green_run(launcher: FakeLauncher, run_spec: RunSpecOperator, lacking: dict) -> None:
    launcher.answers("run_spec", frozen(**lacking))
    with pytest.raises(NodeFailed):
        run_spec.execute(context())


def test_data_that_have_not_landed_are_asked_for_again_without_holding_a_slot(launcher: FakeLauncher, run_spec: RunSpecOperator) -> None:
    launcher.answers("run_spec", NodeResult("run_spec", Outcome.NOT_LANDED, "2013-04-01 has not landed"))
    with pytest.raises(AirflowRescheduleException) as caught:
        run_spec.execute(context())
    wait = caught.value.reschedule_date - dt.datetime.now(dt.timezone.utc)
    assert dt.timedelta(seconds=30) < wait < dt.timedelta(minutes=2)


@pytest.mark.parametrize("kind", ["scheduled", "backfill"])
def test_the_schedule_gives_the_interval_and_the_form_the_parameters(launcher: FakeLauncher, run_spec: RunSpecOperator, kind: str) -> None:
    launcher.answers("run_spec", frozen())
    run = dag_run(kind, triggering_user_name="ada" if kind == "backfill" else None)
    run_spec.execute(context(run, TaskInstance(xcoms={}), train_steps=7, reason="-- why --"))
    (call,) = launcher.calls()
    said = options(call)
    assert call["words"][:2] == ["run-spec", "tiny"]
    assert json.loads(said.pop("params")) == {"window": 4, "train_steps": 7, "learning_rate": 0.1, "reason": "-- why --"}
    expected = {
        "start": "2013-04-01T00:00:00+00:00", "end": "2013-07-01T00:00:00+00:00", "kind": kind, "run": f"tiny/{kind}__2013-07-01",
        "ticket": asking.ticket(run), "reason": "-- why --", "asked-at": "2020-01-01T12:00:00.000250+00:00",
    }  # fmt: skip
    assert said == ({**expected, "who": "ada"} if kind == "backfill" else expected)


def test_a_manual_run_is_for_the_interval_it_names_whatever_interval_airflow_gave_it(
    launcher: FakeLauncher, run_spec: RunSpecOperator
) -> None:
    launcher.answers("run_spec", frozen())
    run_spec.execute(context(dag_run("manual", triggering_user_name="ada"), TaskInstance(xcoms={}), interval_start="2014-01-01"))
    said = options(launcher.calls()[0])
    assert (said["start"], said["kind"], said["who"]) == ("2014-01-01T00:00:00+00:00", "manual", "ada")
    assert "end" not in said
    assert "interval_start" not in json.loads(said["params"])


@pytest.mark.parametrize(
    "run_type, form, said",
    [
        ("manual", {}, "must name its interval"),
        ("manual", {"interval_start": "soon"}, "expected a date"),
        ("backfill", {"interval_start": "2013-01-01"}, "leave the field empty"),
        ("scheduled", {"interval_start": "2013-01-01"}, "leave the field empty"),
    ],
)
def test_a_run_whose_interval_is_unclear_is_refused_before_anything_runs(
    launcher: FakeLauncher, run_spec: RunSpecOperator, run_type: str, form: dict, said: str
) -> None:
    with pytest.raises(NodeStopped, match=said):
        run_spec.execute(context(dag_run(run_type), **form))
    assert launcher.calls() == []


def test_a_run_by_hand_that_a_backfill_took_over_is_refused_because_it_has_another_interval(run_spec: RunSpecOperator) -> None:
    taken_over = dag_run("backfill", logical_date=dt.datetime(2013, 7, 1, tzinfo=dt.timezone.utc))
    with pytest.raises(NodeStopped, match="asked for the interval of 2013-07-01T00:00:00.00:00, but Airflow gives it that of 2013-04-01"):
        run_spec.execute(context(taken_over))


def test_a_ticket_is_the_same_within_a_pass_and_another_after_a_clear_or_for_a_run_made_anew() -> None:
    first = asking.ticket(dag_run())
    later = dt.datetime(2020, 1, 2, tzinfo=dt.timezone.utc)
    elsewhere = dt.timezone(dt.timedelta(hours=2))
    same = asking.ticket(dag_run(start_date=dt.datetime(2020, 1, 1, 14, 0, 0, 250, tzinfo=elsewhere), state="failed"))
    others = {asking.ticket(dag_run(clear_number=1)), asking.ticket(dag_run(start_date=later)), asking.ticket(dag_run(run_id="x"))}
    assert same == first
    assert len(others | {first}) == 4


def test_on_kill_returns_at_once_and_leaves_no_process(launcher: FakeLauncher, trainer: NodeOperator) -> None:
    launcher.answers("trainer", NodeResult("trainer", Outcome.COMPLETE, "trained"), hangs=True)
    caught: list[BaseException] = []

    def execute() -> None:
        try:
            trainer.execute(context())
        except NodeFailed as error:
            caught.append(error)

    thread = threading.Thread(target=execute)
    thread.start()
    pids = launcher.pids()
    started = time.monotonic()
    trainer.on_kill()
    assert time.monotonic() - started < 0.5
    thread.join(10)
    assert gone(pids)
    assert "Airflow ended its task" in str(caught[0])


def test_the_outcome_table_for_people_has_a_row_for_every_outcome() -> None:
    rows = [line for line in (PROJECT / "docs/outcomes.md").read_text().splitlines() if line.startswith("| ") and line.count("|") == 6]
    named = [row.split("|")[2].strip().strip("`") for row in rows[1:]]  # what a waiver lets pass is complete too
    assert list(dict.fromkeys(named)) == [outcome.value for outcome in Outcome]
    for row in rows[1:]:
        outcome = Outcome(row.split("|")[2].strip().strip("`"))
        assert ("twice" in row) == (outcome in RETRIED)
        assert ("| success" in row) == (outcome in SUCCESSFUL)

"""Blocked, asked, approved, cleared: what waivers do to real runs, and what two people can and cannot do with them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
import pathlib
import pwd
import sqlite3
import threading

import postgres
import pytest
import released_pipeline
from harness import KEY, Installation, install, make_tiny

from waybill.cli import load, main, person
from waybill.gates import waivers as gate_waivers
from waybill.launch import waivers as lane
from waybill.launch.gates import groundless
from waybill.launch.installation import Installation as Around
from waybill.launch.installation import entered
from waybill.launch.wish import Wish
from waybill.records import digest
from waybill.records.errors import RecordError, WaiverRefused
from waybill.records.node import NodeResult, Outcome
from waybill.records.person import Person
from waybill.records.run_spec import RunSpec
from waybill.records.verdict import Decision, Rule, RuleOutcome, Verdict
from waybill.serving.errors import ReleaseRefused
from waybill.serving.promotion import Desk
from waybill.store import journal, reads, waivers
from waybill.store.errors import Overtaken

UTC = dt.timezone.utc
ADA, BOB = Person("os:ada", "os:ada"), Person("airflow:bob", "os:airflow")
SUBJECT = "waivers/tiny"


@pytest.fixture
def tiny(tmp_path: pathlib.Path) -> Installation:
    made = make_tiny(tmp_path)
    made.land("2013-01-01")
    made.land("2013-04-01")
    return made


@pytest.fixture(scope="module")
def stuck(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An installation with a blocked gate, for tests that record nothing."""
    made = make_tiny(tmp_path_factory.mktemp("stuck"))
    made.land("2013-01-01")
    blocked(made)
    return made


def now() -> dt.datetime:
    return dt.datetime.now(UTC)


def blocked(tiny: Installation, start: str = "2013-01-01") -> RunSpec:
    spec = tiny.freeze(start, f"ticket-{start}", verdict="BLOCKED")
    assert tiny.run(spec)[-1].outcome is Outcome.BLOCKED
    return spec


def wish(tiny: Installation, **changes: object) -> Wish:
    plain = Wish(tiny.interval("2013-01-01"), "data_gate", "tiny.rule", "", False, "we know", now() + dt.timedelta(days=5))
    return dataclasses.replace(plain, **changes)


def asked(tiny: Installation, **changes: object) -> int:
    return lane.request(tiny.store, tiny.graph, wish(tiny, **changes), ADA, now()).waiver.number


def waived(tiny: Installation) -> tuple[RunSpec, int]:
    """A run with a blocked gate, and a waiver for it that is approved."""
    spec = blocked(tiny)
    number = asked(tiny)
    lane.approve(tiny.store, tiny.graph, number, "", BOB, now())
    return spec, number


def cleared(tiny: Installation, spec: RunSpec, ticket: str = "cleared") -> NodeResult:
    return tiny.node(spec, "data_gate", ticket=ticket)


def test_a_blocked_gate_that_is_cleared_after_a_waiver_ends_waived_and_the_run_goes_on(tiny: Installation) -> None:
    spec, number = waived(tiny)
    gate = cleared(tiny, spec)
    assert (gate.outcome, gate.run, gate.extra["verdict"]) == (Outcome.COMPLETE, "tiny.201301010000.g2", "WAIVED")
    for word in (f"waiver {number}", "os:ada", "airflow:bob", "we know", "until"):
        assert word in gate.message
    rest = [tiny.node(spec, node, ticket="cleared") for node in ("trainer", "baseline", "evaluator", "pusher")]
    assert [(r.outcome, r.run) for r in rest] == [(Outcome.COMPLETE, gate.run)] * 4
    assert tiny.node(spec, "trainer", ticket="ticket-2013-01-01").outcome is Outcome.REFUSED, "the blocked generation opened too"


def test_a_blocked_gate_says_how_to_ask_for_a_waiver(tiny: Installation) -> None:
    spec = tiny.freeze("2013-01-01", verdict="BLOCKED")
    assert "waybill waive request tiny --interval 2013-01-01 --gate data_gate --rule" in tiny.run(spec)[-1].message


def test_a_run_begun_anew_reads_the_waiver_too_and_the_next_interval_is_still_blocked(tiny: Installation) -> None:
    waived(tiny)
    again = tiny.run(tiny.freeze("2013-01-01", "ticket-again", verdict="BLOCKED"))
    assert [r.extra.get("verdict") for r in again if r.node == "data_gate"] == ["WAIVED"] and again[-1].node == "pusher"
    blocked(tiny, "2013-04-01")


def test_who_asked_cannot_approve_and_no_approval_is_recorded(tiny: Installation) -> None:
    spec = blocked(tiny)
    number = asked(tiny)
    for same in (ADA, Person("airflow:ada", "os:airflow")):
        with pytest.raises(WaiverRefused, match="who asked for it, does not count"):
            lane.approve(tiny.store, tiny.graph, number, "", same, now())
    assert [e.kind for e in journal.entries(tiny.store, SUBJECT)] == ["waiver_request"]
    gate = cleared(tiny, spec)
    assert gate.outcome is Outcome.BLOCKED and "not approved yet" in gate.message


def test_an_approval_that_somebody_wrote_for_themselves_does_nothing_and_the_verdict_says_so(tiny: Installation) -> None:
    spec = blocked(tiny)
    journal.append(tiny.store, SUBJECT, asked(tiny), "waiver_approval", {"waiver": 1, "who": "os:ada"})
    gate = cleared(tiny, spec)
    assert gate.outcome is Outcome.BLOCKED and "approval by os:ada, who asked for it, does not count" in gate.message
    lane.approve(tiny.store, tiny.graph, 1, "", BOB, now())
    assert cleared(tiny, spec, "again").extra["verdict"] == "WAIVED"


def test_a_waiver_that_is_over_when_the_gate_runs_does_nothing(tiny: Installation) -> None:
    spec = blocked(tiny)
    past = now() - dt.timedelta(days=1)
    number = lane.request(tiny.store, tiny.graph, wish(tiny, until=past + dt.timedelta(hours=1)), ADA, past).waiver.number
    lane.approve(tiny.store, tiny.graph, number, "", BOB, past)
    gate = cleared(tiny, spec)
    assert gate.outcome is Outcome.BLOCKED and "expired" in gate.message
    with pytest.raises(WaiverRefused, match="cannot be approved: expired"):
        lane.approve(tiny.store, tiny.graph, asked_again(tiny, past), "", BOB, now())


def asked_again(tiny: Installation, past: dt.datetime) -> int:
    tomorrow = past + dt.timedelta(minutes=1)
    until = past + dt.timedelta(hours=1)
    lane.withdraw(tiny.store, tiny.graph, 1, "to ask anew", ADA)
    return lane.request(tiny.store, tiny.graph, wish(tiny, until=until), ADA, tomorrow).waiver.number


def test_a_waiver_that_is_withdrawn_stops_what_has_not_run_yet(tiny: Installation) -> None:
    spec, number = waived(tiny)
    cleared(tiny, spec)
    lane.withdraw(tiny.store, tiny.graph, number, "it was a fault after all", ADA)
    trainer = tiny.node(spec, "trainer", ticket="cleared")
    assert trainer.outcome is Outcome.REFUSED and "withdrawn by os:ada: it was a fault after all" in trainer.message
    assert cleared(tiny, spec, "again").outcome is Outcome.BLOCKED


def rewrite(tiny: Installation, gate: NodeResult, value: dict[str, object]) -> None:
    """Forges a verdict so well that its digest and its decision in MLMD fit."""
    [ref] = gate.outputs["verdict"]
    pathlib.Path(ref.uri, "verdict.json").write_text(json.dumps(value))
    with sqlite3.connect(str(tiny.store.file)) as connection:
        for name, text in (("digest", digest.of_tree(pathlib.Path(ref.uri))), ("decision", value["decision"])):
            connection.execute("UPDATE ArtifactProperty SET string_value=? WHERE artifact_id=? AND name=?", (text, ref.id, name))


@pytest.mark.parametrize("named", [1, 99])
def test_a_verdict_forged_to_name_a_waiver_opens_nothing(tiny: Installation, named: int) -> None:
    spec = blocked(tiny)
    gate = cleared(tiny, spec)
    number = asked(tiny)
    waiver = waivers.read(tiny.store, "tiny").find(number)
    assert waiver is not None
    told = dataclasses.replace(waiver, number=named, approved_by="os:bob").applied(now())
    verdict = Verdict.from_json(json.loads(pathlib.Path(gate.outputs["verdict"][0].uri, "verdict.json").read_text()))
    rewrite(tiny, gate, Verdict.judge("data_gate", [rule.waived_by(told) for rule in verdict.rules]).to_json())
    trainer = tiny.node(spec, "trainer", ticket="cleared")
    assert trainer.outcome is Outcome.REFUSED
    assert ("not approved yet" if named == 1 else "waived by 99, not on record") in trainer.message


def test_a_verdict_of_one_quarter_that_names_another_quarters_waiver_opens_nothing(tiny: Installation) -> None:
    first, number = waived(tiny)
    good = cleared(tiny, first)
    second = blocked(tiny, "2013-04-01")
    bad = cleared(tiny, second)
    rewrite(tiny, bad, json.loads(pathlib.Path(good.outputs["verdict"][0].uri, "verdict.json").read_text()))
    trainer = tiny.node(second, "trainer", ticket="cleared")
    assert trainer.outcome is Outcome.REFUSED and f"waiver {number} does not let tiny.rule" in trainer.message


def test_asking_again_finds_the_same_waiver_before_and_after_it_was_used(tiny: Installation) -> None:
    spec, number = waived(tiny)
    assert lane.request(tiny.store, tiny.graph, wish(tiny, why="in other words"), BOB, now()).fresh is False
    cleared(tiny, spec)
    again = lane.request(tiny.store, tiny.graph, wish(tiny), ADA, now())
    assert (again.waiver.number, again.fresh) == (number, False)
    approved = lane.approve(tiny.store, tiny.graph, number, "", BOB, now())
    assert (approved.waiver.approved_by, approved.fresh) == ("airflow:bob", False)
    lane.withdraw(tiny.store, tiny.graph, number, "enough", BOB)
    assert lane.withdraw(tiny.store, tiny.graph, number, "once more", ADA).waiver.withdrawn_why == "enough"
    assert [e.kind for e in journal.entries(tiny.store, SUBJECT)] == ["waiver_request", "waiver_approval", "waiver_withdrawal"]
    assert asked(tiny) == 4, "a waiver that was withdrawn stands in the way of another"


def test_a_request_points_at_the_verdict_it_answers_and_says_by_which_account(tiny: Installation) -> None:
    spec = blocked(tiny)
    gate = reads.successful_execution(tiny.store, "tiny", spec.run, "data_gate")
    assert gate is not None
    answer = lane.request(tiny.store, tiny.graph, wish(tiny), BOB, now())
    [entry] = journal.entries(tiny.store, SUBJECT)
    assert [a.id for a in reads.inputs(tiny.store, entry.id)["about"]] == [a.id for a in reads.outputs(tiny.store, gate.id)["verdict"]]
    assert (entry.says["who"], entry.says["account"]) == ("airflow:bob", "os:airflow")
    assert (answer.waiver.subject, answer.waiver.found) == ("everything", "BLOCKED")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"gate": "trainer"}, "no gate 'trainer'.*it has data_gate"),
        ({"rule": "tiny.*"}, "expected the exact name of one rule"),
        ({"rule": "rows.conserved"}, "can never be waived"),
        ({"rule": "volume.rows"}, "volume.rows does not block in the newest verdict.*blocking: tiny.rule"),
        ({"subject": "nothing"}, "does not block on 'nothing'; expected one of: everything"),
        ({"subject": "two\nlines"}, r"--subject holds U\+000A"),
        ({"subject": "everything", "every_subject": True}, "expected one of them"),
        ({"why": ""}, "--why is empty"),
        ({"why": "x" * 10_000_000}, "10000000 characters; expected at most 500"),
        ({"until": dt.datetime(2013, 1, 1, tzinfo=UTC)}, "--until is 2013-01-01"),
        ({"until": dt.datetime(9999, 1, 1, tzinfo=UTC)}, "at most 90 days"),
    ],
)
def test_what_cannot_be_waived_is_refused_and_not_recorded(stuck: Installation, changes: dict[str, object], why: str) -> None:
    with pytest.raises((RecordError, WaiverRefused), match=why):
        asked(stuck, **changes)
    assert journal.entries(stuck.store, SUBJECT) == []


def test_a_gate_that_has_not_been_run_has_nothing_to_waive(tiny: Installation) -> None:
    with pytest.raises(WaiverRefused, match="data_gate has no verdict for tiny 2013-01-01"):
        asked(tiny)


def test_of_two_who_decide_at_once_one_wins_and_the_other_is_told(tiny: Installation) -> None:
    blocked(tiny)
    number = asked(tiny)
    book = waivers.read(tiny.store, "tiny")
    outcomes: list[str] = []

    def approve(who: str) -> None:
        try:
            waivers.write(tiny.store, book, waivers.APPROVAL, number, {"who": who, "why": ""})
            outcomes.append("wrote")
        except Overtaken as error:
            outcomes.append(str(error))

    people = [threading.Thread(target=approve, args=(f"os:person{i}",)) for i in range(4)]
    [p.start() for p in people]
    [p.join() for p in people]
    assert outcomes.count("wrote") == 1
    assert all("decided on by somebody else meanwhile (2: waiver_approval by os:person" in o for o in outcomes if o != "wrote")


def test_waivers_are_kept_in_postgresql_too(tmp_path: pathlib.Path) -> None:
    with postgres.server() as url:
        tiny = make_tiny(tmp_path, url)
        tiny.land("2013-01-01")
        spec, _ = waived(tiny)
        assert cleared(tiny, spec).extra["verdict"] == "WAIVED"


def test_a_model_that_was_let_pass_is_released_and_served_but_not_promoted_once_its_waiver_is_withdrawn(tmp_path: pathlib.Path) -> None:
    small = install(tmp_path, released_pipeline.SETTINGS, released_pipeline.create_pipeline, {})
    small.land("2013-01-01")
    small.land("2013-04-01")
    numbers = []
    for start in ("2013-01-01", "2013-04-01"):
        blocked_run = small.run_in_one(small.freeze(start, f"blocked {start}", kind="scheduled", quality="bad"))
        assert (blocked_run[-1].node, blocked_run[-1].outcome) == ("model_gate", Outcome.BLOCKED)
        small_wish = wish(small, interval=small.interval(start), gate="model_gate", rule="small.quality")
        numbers.append(lane.request(small.store, small.graph, small_wish, ADA, now()).waiver.number)
        lane.approve(small.store, small.graph, numbers[-1], "", BOB, now())
    served = small.run_in_one(small.freeze("2013-01-01", "again", kind="scheduled", quality="bad"))[-1]
    assert served.extra["promotion"]["outcome"] == "promoted"
    held = small.run_in_one(small.freeze("2013-04-01", "by hand", kind="manual", quality="bad"))[-1]
    assert held.extra["promotion"]["outcome"] == "held"
    lane.withdraw(small.store, small.graph, numbers[-1], "it was a fault after all", ADA)
    with pytest.raises(ReleaseRefused, match="withdrawn by os:ada: it was a fault after all"):
        Desk(small.store, small.graph, small.settings).promote(20130701000002, "os:bob", "in a hurry")


# Setting a baseline aside.


def set_aside(tiny: Installation, start: str = "2013-04-01") -> int:
    asked_for = lane.rebaseline(tiny.store, tiny.graph, wish(tiny, interval=tiny.interval(start), why="another label"), ADA, now())
    assert lane.rebaseline(tiny.store, tiny.graph, wish(tiny, interval=tiny.interval(start)), BOB, now()).fresh is False
    return asked_for.waiver.number


def compared(tiny: Installation, spec: RunSpec) -> list[Rule]:
    """The model gate's comparison of a run, as its executor would judge it now."""
    rule = Rule("change.auc", "overall", RuleOutcome.NOT_JUDGED, "at most 0.03 below the baseline", "no baseline yet")
    other = Rule("metrics.auc", "overall", RuleOutcome.PASS, "at least 0.8", "0.9")
    with entered(Around(tiny.store, tiny.settings, (spec,), tiny.graph)):
        return gate_waivers.against_baseline([rule, other])


def test_a_baseline_that_two_people_set_aside_is_not_chosen_for_that_interval_alone(tiny: Installation) -> None:
    tiny.land("2013-07-01")
    tiny.run(tiny.freeze("2013-01-01", "first"))
    number = set_aside(tiny)
    asked_only = {r.node: r for r in tiny.run(tiny.freeze("2013-04-01", "asked"))}
    assert "release 20130401000001" in asked_only["baseline"].message
    assert f"waiver {number} does not set it aside: not approved yet" in asked_only["baseline"].message
    lane.approve(tiny.store, tiny.graph, number, "", BOB, now())
    spec = tiny.freeze("2013-04-01", "approved")
    approved = {r.node: r for r in tiny.run(spec)}
    assert f"no baseline: set aside by waiver {number}" in approved["baseline"].message and "os:ada" in approved["baseline"].message
    assert "baseline_model" not in reads.inputs(tiny.store, approved["evaluator"].execution)
    later = {r.node: r for r in tiny.run(tiny.freeze("2013-07-01", "later"))}
    assert "release 20130701000002" in later["baseline"].message

    [change, other] = compared(tiny, spec)
    assert (change.outcome, other.waiver) == (RuleOutcome.NOT_JUDGED, None)
    assert change.waiver is not None and change.waiver.number == number and "another label" in change.found
    verdict = Verdict.judge("model_gate", [change, other])
    assert verdict.decision is Decision.PASS
    assert groundless(verdict, tiny.graph, spec.interval, tiny.store) == []
    assert groundless(verdict, tiny.graph, tiny.interval("2013-07-01"), tiny.store) != []
    lane.withdraw(tiny.store, tiny.graph, number, "the label is the old one", ADA)
    assert "withdrawn" in groundless(verdict, tiny.graph, spec.interval, tiny.store)[0]
    [change, _] = compared(tiny, spec)
    assert change.outcome is RuleOutcome.BLOCK and "clear baseline" in change.found and "withdrawn by os:ada" in change.evidence[0]


def test_a_comparison_without_a_baseline_yet_is_left_as_it_was_judged(tiny: Installation) -> None:
    spec = tiny.freeze("2013-01-01")
    tiny.run(spec)
    set_aside(tiny)
    assert [r.waiver for r in compared(tiny, spec)] == [None, None]


# The command line.


def speak_for_airflow(monkeypatch: pytest.MonkeyPatch, where: Installation, key: str = KEY, mode: int = 0o600) -> None:
    """Gives this process what a task of Airflow has."""
    where.settings.key_file.write_text(KEY)
    where.settings.key_file.chmod(mode)
    monkeypatch.setenv("WAYBILL_ORCHESTRATOR_KEY", key)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """`waybill waive` on the tiny pipeline, which is not among those that go by name."""

    def run(tiny: Installation, *words: str) -> tuple[int, str]:
        monkeypatch.setenv("WAYBILL_HOME", str(tiny.settings.home))
        speak_for_airflow(monkeypatch, tiny)
        monkeypatch.setattr(load, "graph_of", lambda name: tiny.graph)
        status = main.main(["waive", words[0], "tiny", *words[1:]])
        out, error = capsys.readouterr()
        return status, out + error

    return run


def request(why: str = "we know", **options: str) -> list[str]:
    until = f"{now() + dt.timedelta(days=5):%Y-%m-%d}"
    named = {"interval": "2013-01-01", "gate": "data_gate", "rule": "tiny.rule", "why": why, "until": until, **options}
    return ["request", *(word for name, value in named.items() for word in (f"--{name}", value))]


def test_the_command_line_leads_from_a_blocked_gate_to_the_next_step(tiny: Installation, command, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked(tiny)
    status, said = command(tiny, *request())
    assert status == 0 and f"asked for by {person.me()}" in said and "waybill waive approve tiny 1" in said
    status, said = command(tiny, "approve", "1")
    assert status == 2 and "another person must approve it" in said
    status, said = command(tiny, "approve", "1", "--as", "airflow:bob")
    assert status == 2 and "another person must approve it" in said, "whoever asked speaks from the same account"
    monkeypatch.setattr(person, "me", lambda: "os:grace")
    status, said = command(tiny, "approve", "1", "--as", "airflow:bob")
    assert status == 0 and "approved by airflow:bob" in said and "waybill run tiny --interval 2013-01-01" in said
    status, said = command(tiny, "approve", "1", "--as", "airflow:carol")
    assert status == 0 and "was approved before" in said and "airflow:bob" in said
    status, said = command(tiny, *request())
    assert status == 0 and "waiver 1 is for the same already, approved" in said
    status, said = command(tiny, "withdraw", "1", "--why", "no need")
    assert status == 0 and f"waiver 1 is withdrawn by {person.me()}: no need" in said
    [entry] = [e for e in journal.entries(tiny.store, SUBJECT) if e.kind == "waiver_approval"]
    assert (entry.says["who"], entry.says["account"]) == ("airflow:bob", person.me())


def test_the_list_shows_what_became_of_each_waiver(tiny: Installation, command) -> None:
    assert command(tiny, "list") == (0, "tiny has no waivers\n")
    blocked(tiny)
    command(tiny, *request())
    command(tiny, "withdraw", "1", "--why", "first try")
    command(tiny, *request())
    command(tiny, "approve", "2", "--as", "airflow:bob")  # entry 2 is the withdrawal
    status, said = command(tiny, "list")
    lines = said.splitlines()
    assert status == 0 and lines[0].split()[0] == "number"
    assert lines[1].startswith("1") and lines[1].endswith("withdrawn")
    assert lines[3].startswith("3") and lines[3].endswith("asked") and "everything (found: BLOCKED): we know" in lines[4]


def test_the_list_tells_of_entries_written_by_hand_why_they_do_nothing(tiny: Installation, command) -> None:
    journal.append(tiny.store, SUBJECT, 0, "waiver_request", {"rule": "*", "why": "a\x1b[31m\nb", "who": "os:eve"})
    status, said = command(tiny, "list")
    assert status == 0 and "refused: too wide" in said and "\x1b" not in said


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (request(why="two\nlines"), "U+000A"),
        (request(why="x" * 100_000), "100000 characters"),
        (request(until="9999-12-31T23:59-14:00"), "expected a date"),
        (request(until="2013-01-01"), "--until is 2013-01-01"),
        (request(interval="2013-01-01,2013-04-01"), "expected a date"),
        (request(interval="2013-01-02"), "2013-01-02"),
        (["approve", "7", "--as", "airflow:bob"], "tiny has no waiver 7; there is none"),
        (["approve", "7", "--as", "os:bob"], "runs the command as themselves"),
        (["approve", "7", "--as", "bob"], "expected a person"),
    ],
)
def test_the_command_line_refuses_in_one_sentence(stuck: Installation, command, words: list[str], why: str) -> None:
    status, said = command(stuck, *words)
    assert status == 2 and why in said and len(said) < 600
    assert journal.entries(stuck.store, SUBJECT) == []


def test_the_command_line_sets_a_baseline_aside(tiny: Installation, command) -> None:
    day = f"{now() + dt.timedelta(days=5):%Y-%m-%d}"
    words = ("rebaseline", "--interval", "2013-04-01", "--why", "another label", "--until", day)
    status, said = command(tiny, *words, "--as", "airflow:alice")
    assert status == 0 and "baseline.comparison on releases of older intervals, at baseline, interval 2013-04-01" in said
    status, said = command(tiny, "approve", "1", "--as", "airflow:bob")
    assert status == 0 and "Clear baseline with everything downstream" in said
    status, said = command(tiny, *words)
    assert status == 0 and "waiver 1 is for the same already, approved" in said


def test_a_person_is_who_the_kernel_says_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "LOGNAME", "LNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "somebody-else")
    assert person.me() == f"os:{pwd.getpwuid(os.getuid()).pw_name}"

"""A release that needs another person: who may ask, who may agree, what they are shown, and that nothing else lets it be served."""

from __future__ import annotations

import argparse
import dataclasses
import pathlib

import pytest
import released_pipeline
from harness import Installation, install

from waybill.cli import answer as verb
from waybill.cli import main as command
from waybill.launch.account import me
from waybill.lineage import chain
from waybill.records.node import NodeResult, Outcome
from waybill.records.person import Person
from waybill.records.run_spec import RunSpec, Trigger
from waybill.serving import base_path, releases, request_page, standing, state
from waybill.serving.errors import DecisionRefused, OwnRequest, RequestVoid
from waybill.serving.promotion import Desk
from waybill.store import journal

Q1, Q2, Q3 = "2013-01-01", "2013-04-01", "2013-07-01"
V1, V2, V3 = 20130401000001, 20130701000001, 20131001000001
BOB = Person("airflow:bob", "os:airflow")


@pytest.fixture
def small(tmp_path: pathlib.Path) -> Installation:
    made = install(tmp_path, released_pipeline.SETTINGS, released_pipeline.create_pipeline, {})
    for start in (Q1, Q2, Q3):
        made.land(start)
    return made


def under(small: Installation, approval: str) -> Installation:
    """The same installation with another policy."""
    settings = dataclasses.replace(small.pipeline, approval=approval)
    return dataclasses.replace(small, graph=dataclasses.replace(small.graph, settings=settings))


def run(small: Installation, start: str, kind: str = "scheduled", **how: object) -> dict[str, str]:
    """Runs an interval to its end; what its promoter decided."""
    result = small.run_in_one(small.freeze(start, f"{kind} {start} {how}", kind=kind, run=f"small/{kind}__{start}", **how))[-1]
    assert result.successful, result.message
    return dict(result.extra["promotion"])


def desk(small: Installation) -> Desk:
    return Desk(small.store, small.graph, small.settings)


def served(small: Installation) -> list[int]:
    return base_path.present(small.settings.serving / "small")


def entries(small: Installation) -> list[journal.Entry]:
    return journal.entries(small.store, state.subject("small"))


def answer(small: Installation, version: int, **words: object) -> NodeResult:
    """What the promoter's task is told."""
    run_of = words.pop("asked_by", f"small/scheduled__{Q1}")
    said = {"node": "promoter", "asked_by": run_of, "triggered_by": "", "number": 0, "says": "", "who": "", "why": "", **words}
    return verb.answered(argparse.Namespace(version=version, **said), small.graph, small.settings)


def test_where_every_promotion_needs_a_person_the_schedule_asks_and_one_who_agrees_promotes(small: Installation) -> None:
    always = under(small, "always")
    asked = run(always, Q1)
    assert asked["outcome"] == "asked" and "schedule asked for it as number 1" in asked["says"] and served(small) == []
    looked = answer(always, V1)
    assert looked.extra["promotion"]["outcome"] == "asked" and looked.extra["approval"]["number"] == 1
    agreed = answer(always, V1, number=1, says="approve", who="bob", why="seen")
    assert agreed.extra["promotion"]["outcome"] == "promoted" and served(small) == [V1]
    said = entries(small)[-1].says
    assert (said["who"], said["approved_by"], said["approved_account"], said["approved_why"]) == ("schedule", "airflow:bob", me(), "seen")
    assert answer(always, V1).extra["promotion"]["outcome"] == "promoted", (
        "a task that was killed after it had passed on the answer finds it"
    )


def test_a_backfill_whose_form_asks_for_it_needs_another_person_than_the_one_who_asked(small: Installation) -> None:
    run(small, Q2)
    asked = run(small, Q1, "backfill", promote=True)
    assert asked["outcome"] == "asked" and "airflow:ada asked for it" in asked["says"] and served(small) == [V2]
    told = {"asked_by": f"small/backfill__{Q1}", "number": 2, "says": "approve"}
    for who, triggered_by in (("ada", "ada"), ("ADA", ""), ("carol", "carol")):
        again = answer(small, V1, **told, who=who, triggered_by=triggered_by)
        assert again.extra["promotion"]["outcome"] == "asked" and "cannot agree to it as well" in again.extra["approval"]["refused"]
    assert served(small) == [V2] and len(entries(small)) == 2
    assert answer(small, V1, **told, who="bob", triggered_by="ada").extra["promotion"]["outcome"] == "promoted"
    assert served(small) == [V1]
    said = entries(small)[-1].says
    assert (said["who"], said["why"], said["approved_by"], said["approved_why"]) == (
        "airflow:ada", "Q2 was a strike", "airflow:bob", "no reason given",
    )  # fmt: skip


@pytest.mark.parametrize(("approval", "start"), [("older", Q2), ("never", Q1), ("never", Q2)])
def test_where_policy_asks_for_nobody_else_the_form_promotes_at_once_in_the_persons_name(
    small: Installation, approval: str, start: str
) -> None:
    run(small, Q1), run(small, Q2)
    before = entries(small)[-1].number
    assert run(under(small, approval), start, "manual", promote=True)["outcome"] == "promoted"
    last = entries(small)[-1]
    assert (last.number, last.kind, last.says["who"], last.says["account"]) == (before + 1, "promote", "airflow:ada", me())


def test_the_form_does_not_overrule_a_pin_nor_ask_again_for_what_was_released_before(small: Installation) -> None:
    run(small, Q1)
    desk(small).pin(True, BOB, "in doubt")
    assert "is pinned" in run(small, Q2, "manual", promote=True)["says"]
    desk(small).pin(False, BOB, "no more")
    assert "the same run was released before" in run(small, Q2, "manual", promote=True, quality="good again")["says"]
    assert served(small) == [V1]


def test_a_backfill_may_ask_for_a_run_that_the_schedule_had_released(small: Installation) -> None:
    run(small, Q1)
    spec = small.freeze(Q1, "again", kind="backfill", run=f"small/scheduled__{Q1}", promote=True, quality="good again")
    assert small.run_in_one(spec)[-1].extra["promotion"]["outcome"] == "promoted"
    assert served(small) == [V1, V1 + 1]


def test_a_no_is_a_hold_on_record_with_who_and_why_and_cannot_be_overridden_by_a_later_yes(small: Installation) -> None:
    always = under(small, "always")
    run(always, Q1)
    no = answer(always, V1, number=1, says="decline", who="bob", why="too few rows\n| evil |")
    assert no.extra["promotion"]["outcome"] == "held" and "airflow:bob declined request 1" in no.message
    last = entries(small)[-1]
    assert (last.kind, last.says["who"], last.says["version"], last.says["why"]) == ("decline", "airflow:bob", V1, "too few rows | evil |")
    late = answer(always, V1, number=1, says="approve", who="carol")
    assert late.extra["promotion"]["outcome"] == "held" and served(small) == []
    with pytest.raises(RequestVoid, match="airflow:bob declined request 1 by decision 2: too few rows"):
        desk(always).approve(1, Person("os:grace", "os:grace"), "seen")
    assert desk(always).decline(1, BOB, "again").outcome == "held" and len(entries(small)) == 2, "declined twice, it is declined once"
    is_now = standing.of(small.store, releases.find(small.store, "small", V1), entries(small), "promoter")
    assert is_now.words == ("held",) and "airflow:bob declined request 1" in is_now.why
    asked = desk(always).promote(V1, Person("os:ada", "os:ada"), "it is all right")
    assert asked.number == 3, "whoever disagrees asks anew"
    assert desk(always).approve(3, BOB, "so it is").outcome == "promoted"


def test_an_answer_counts_only_for_the_run_that_made_the_release_and_for_what_was_judged(small: Installation) -> None:
    always = under(small, "always")
    run(always, Q1)
    other = answer(always, V1, number=1, says="approve", who="bob", asked_by=f"small/scheduled__{Q2}")
    assert other.outcome is Outcome.REFUSED and "answers for it; nothing was decided" in other.message
    nameless = answer(always, V1, number=1, says="approve", who=" ")
    assert nameless.outcome is Outcome.REFUSED and "expected a person" in nameless.message
    path = releases.find(small.store, "small", V1).path
    for part in (path, path / "saved_model.pb"):
        part.chmod(0o755)
    (path / "saved_model.pb").write_text("evil")
    damaged = answer(always, V1, number=1, says="approve", who="bob")
    assert damaged.outcome is Outcome.REFUSED and "does not hold what was released" in damaged.message
    assert served(small) == [] and [entry.kind for entry in entries(small)] == ["request"]


def test_an_answer_after_something_else_was_served_is_void(small: Installation) -> None:
    always = under(small, "always")
    run(always, Q1), run(always, Q2)
    assert answer(always, V2, asked_by=f"small/scheduled__{Q2}", number=2, says="approve", who="bob").successful
    void = answer(always, V1, number=1, says="approve", who="bob")
    assert void.extra["promotion"]["outcome"] == "held" and "request 1 of schedule is void: decision 3" in void.message
    assert served(small) == [V2]
    with pytest.raises(RequestVoid, match="nothing to decline"):
        desk(always).decline(1, BOB, "no")


def test_a_promoter_that_is_tried_again_asks_once(small: Installation) -> None:
    always = under(small, "always")
    release_of = run(always, Q1)
    assert desk(always).consider(releases.find(small.store, "small", V1), _spec(small, V1)).says == release_of["says"]
    assert [entry.kind for entry in entries(small)] == ["request"]


def _spec(small: Installation, version: int) -> RunSpec:
    [spec] = releases.lineage_of(releases.find(small.store, "small", version), small.settings)
    return spec


def test_the_page_shows_what_is_asked_for_and_nothing_on_it_is_markup_of_a_person(small: Installation) -> None:
    run(small, Q2)
    run(small, Q1, "backfill")
    hostile = "see ![x](http://evil/x.png) | **bold** <b>"
    number = desk(small).promote(V1, Person("os:ada", "os:ada"), hostile).number
    shown = answer(small, V1, asked_by=f"small/backfill__{Q1}").extra["approval"]
    assert shown["number"] == number
    assert shown["subject"] == f"Serve release {V1} of small, 2013-01-01 to 2013-04-01, instead of {V2}?"
    plain = shown["page"].replace("\\", "")
    assert f"| instead of | {V2}, of 2013-04-01 to 2013-07-01, a newer interval than its own |" in plain
    assert "| asked for by | os:ada |" in plain and "| data_gate | PASS, 1 rule |" in plain and "| model_gate | PASS, 2 rules |" in plain
    row = next(line for line in shown["page"].splitlines() if line.startswith("| why |"))
    assert row == r"| why | see \!\[x\]\(http\://evil/x\.png\) \| \*\*bold\*\* \<b\> |"
    assert request_page.shown("a\nb") == "a b"


def test_the_command_line_declines_and_releases_shows_who(
    small: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WAYBILL_HOME", str(small.settings.home))
    always = under(small, "always")
    monkeypatch.setattr("waybill.cli.load.graph_of", lambda _: always.graph)
    run(always, Q1)
    command.main(["releases", "small"])
    assert "asked for " in capsys.readouterr().out
    assert command.main(["decline", "small", "1", "--why", "not yet"]) == 0
    command.main(["releases", "small"])
    assert f"{me()} declined request 1 by decision 2: not yet" in capsys.readouterr().out


def test_a_later_release_of_an_interval_supersedes_the_earlier_and_its_chain_says_so(small: Installation) -> None:
    run(small, Q1), run(small, Q2)
    links = list(chain.trace(small.store, chain.release(small.store, "small", V1)))
    assert {link.superseded_by for link in links} == {0}
    blocked = small.run_in_one(small.freeze(Q1, "again", quality="bad"))[-1]
    assert blocked.outcome is Outcome.BLOCKED
    assert not _superseded(small, V1), "a generation that released nothing takes nobody's place"
    run(small, Q1, "manual", quality="good again")
    assert _superseded(small, V1) == 3 and not _superseded(small, V1 + 2) and not _superseded(small, V2)
    links = list(chain.trace(small.store, chain.release(small.store, "small", V1)))
    assert {link.superseded_by for link in links if int(link.artifact.properties["generation"])} == {3}
    assert "superseded" in standing.of(small.store, releases.find(small.store, "small", V1), entries(small), "promoter").words


def _superseded(small: Installation, version: int) -> int:
    return standing.of(small.store, releases.find(small.store, "small", version), entries(small), "promoter").superseded_by


def test_nobody_answers_for_what_nobody_asked_for(small: Installation) -> None:
    run(small, Q1)
    assert answer(small, V1).outcome is Outcome.REFUSED
    with pytest.raises(DecisionRefused, match="no request number 9"):
        desk(small).decline(9, BOB, "no")
    assert issubclass(OwnRequest, DecisionRefused)


def test_a_spec_without_a_wish_has_the_digest_it_had_before_there_were_wishes() -> None:
    trigger = Trigger("manual", "ada", "small/one", "ticket")
    assert set(trigger.to_json()) == {"kind", "who", "run", "ticket", "reason"}
    assert Trigger(**dataclasses.replace(trigger, promote=True).to_json()).promote

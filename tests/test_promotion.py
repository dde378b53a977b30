"""What is served: promoted by the schedule alone, never in a newer interval's place, never without evidence; decided once, on record."""

from __future__ import annotations

import json
import pathlib
import shutil

import postgres
import pytest
import released_pipeline
from google.protobuf import text_format
from harness import Installation, install
from tensorflow_serving.config import model_server_config_pb2

from waybill.cli import main as command
from waybill.records.node import Outcome
from waybill.records.person import Person
from waybill.serving import base_path, releases, retention, state
from waybill.serving.errors import DecisionRefused, NoSuchRelease, ReleaseRefused
from waybill.serving.promotion import Desk
from waybill.store import journal
from waybill.store.errors import Overtaken

Q1, Q2, Q3, Q4 = "2013-01-01", "2013-04-01", "2013-07-01", "2013-10-01"
V1, V2, V3, V4 = 20130401000001, 20130701000001, 20131001000001, 20140101000001
ADA, GRACE = Person("os:ada", "os:ada"), Person("os:grace", "os:grace")


@pytest.fixture
def small(tmp_path: pathlib.Path) -> Installation:
    made = install(tmp_path, released_pipeline.SETTINGS, released_pipeline.create_pipeline, {})
    for start in (Q1, Q2, Q3, Q4):
        made.land(start)
    return made


def run(small: Installation, start: str, kind: str = "scheduled", ticket: str = "", **params: str) -> dict[str, str]:
    """Runs an interval to its end; what its promoter decided."""
    spec = small.freeze(start, ticket or f"{kind} {start}", kind=kind, run=f"small/{kind}__{start}", **params)
    result = small.run_in_one(spec)[-1]
    assert result.successful, result.message
    return dict(result.extra["promotion"])


def desk(small: Installation) -> Desk:
    return Desk(small.store, small.graph, small.settings)


def follow(small: Installation) -> tuple[int, ...]:
    return base_path.follow(small.store, small.settings, "small")


def served(small: Installation) -> list[int]:
    return base_path.present(small.settings.serving / "small")


def decisions(small: Installation) -> list[str]:
    return [entry.kind for entry in journal.entries(small.store, state.subject("small"))]


def test_the_schedule_promotes_and_an_older_interval_backfilled_after_it_leaves_serving_unchanged(small: Installation) -> None:
    assert run(small, Q3)["outcome"] == "promoted"
    older = run(small, Q1, "backfill")
    assert older["outcome"] == "held"
    assert "backfill" in older["says"] and "before that of 20131001000001" in older["says"]
    assert served(small) == [V3]
    assert run(small, Q4)["outcome"] == "promoted"
    assert served(small) == [V3, V4], "the one before stays below the stable one"
    assert [(r.version, r.path.is_dir()) for r in releases.newest(small.store, "small", 9)] == [(V4, True), (V3, True), (V1, True)]


@pytest.mark.parametrize("kind", ["backfill", "manual", "command_line"])
def test_only_the_schedule_promotes_by_itself(small: Installation, kind: str) -> None:
    assert run(small, Q1, kind)["outcome"] == "held"
    assert served(small) == []
    assert decisions(small) == []


def test_a_scheduled_run_of_an_older_interval_is_held(small: Installation) -> None:
    run(small, Q3)
    assert "its interval ends at 2013-04-01" in run(small, Q1)["says"]
    assert served(small) == [V3]


def test_the_promoted_run_done_again_with_other_parameters_is_held_and_serving_stays(small: Installation) -> None:
    run(small, Q3)
    again = run(small, Q3, ticket="cleared", quality="good as new")
    assert again["version"] == "20131001000002"
    assert "the same run was released before as 20131001000001" in again["says"]
    assert served(small) == [V3]


def test_a_scheduled_run_promotes_whether_or_not_somebody_ran_its_interval_by_hand_before(small: Installation) -> None:
    assert run(small, Q3, "manual")["outcome"] == "held"
    assert run(small, Q3)["outcome"] == "promoted"
    assert served(small) == [20131001000002]


def test_a_blocked_model_reaches_neither_the_release_store_nor_the_base_path(small: Installation) -> None:
    spec = small.freeze(Q1, kind="scheduled", quality="bad")
    assert small.run_in_one(spec)[-1].outcome is Outcome.BLOCKED
    for node in ("pusher", "promoter"):
        assert small.node(spec, node).outcome is Outcome.REFUSED
    assert served(small) == [] and releases.newest(small.store, "small", 9) == []


def test_after_a_rollback_the_next_scheduled_run_holds_and_after_an_unpin_the_one_after_promotes(small: Installation) -> None:
    run(small, Q1), run(small, Q2)
    assert desk(small).rollback(V1, ADA, "it tips too much").outcome == "rolled_back"
    assert follow(small) == (V1,)
    assert served(small) == [V1], "nothing above the stable version"
    held = run(small, Q3)
    assert held["outcome"] == "held" and "pinned at 20130401000001 by decision 3 of os:ada: it tips too much" in held["says"]
    assert served(small) == [V1]
    desk(small).pin(False, ADA, "mended")
    assert run(small, Q4)["outcome"] == "promoted"
    assert served(small) == [V1, V4]
    assert decisions(small) == ["promote", "promote", "rollback", "unpin", "promote"]


def test_rolling_back_to_what_was_never_served_is_refused_with_what_was(small: Installation) -> None:
    run(small, Q1), run(small, Q2), run(small, Q3, "backfill")
    with pytest.raises(DecisionRefused, match="before it were 20130401000001"):
        desk(small).rollback(V3, ADA, "why not")
    with pytest.raises(NoSuchRelease, match="the newest are 20131001000001, 20130701000001"):
        desk(small).promote(20990101000001, ADA, "the future")


def test_an_older_interval_needs_two_persons_and_takes_the_newer_out(small: Installation) -> None:
    run(small, Q2), run(small, Q1, "backfill")
    asked = desk(small).promote(V1, ADA, "Q2 was a strike")
    assert asked.outcome == "asked" and served(small) == [V2]
    assert desk(small).promote(V1, ADA, "Q2 was a strike").number == asked.number, "asked twice, it is asked once"
    with pytest.raises(DecisionRefused, match="os:ada asked for release 20130401000001 and cannot agree to it as well"):
        desk(small).approve(asked.number, ADA, "me again")
    assert desk(small).approve(asked.number, GRACE, "seen").outcome == "promoted"
    assert desk(small).approve(asked.number, GRACE, "seen").outcome == "unchanged"
    assert follow(small) == (V1,)
    last = journal.entries(small.store, state.subject("small"))[-1].says
    assert (last["who"], last["approved_by"], last["stable"], last["version"]) == ("os:ada", "os:grace", V2, V1)


def test_a_request_is_void_once_something_else_is_served(small: Installation) -> None:
    run(small, Q2), run(small, Q1, "backfill")
    asked = desk(small).promote(V1, ADA, "Q2 was a strike")
    run(small, Q3)
    with pytest.raises(DecisionRefused, match="20130701000001 was served; since then something else was, now it is 20131001000001"):
        desk(small).approve(asked.number, GRACE, "seen")


def test_a_newer_release_that_was_held_is_promoted_by_one_person_once(small: Installation) -> None:
    run(small, Q1), run(small, Q2, "backfill")
    assert desk(small).promote(V2, ADA, "looks good").outcome == "promoted"
    assert desk(small).promote(V2, ADA, "looks good").outcome == "unchanged"
    assert decisions(small) == ["promote", "promote"]
    assert follow(small) == (V1, V2)


def test_of_two_who_decide_at_once_one_is_told_of_the_other(small: Installation) -> None:
    run(small, Q1)
    journal.append(small.store, state.subject("small"), 1, state.PIN, {"who": "os:ada", "why": "first"})
    with pytest.raises(Overtaken, match=r"2: pin by os:ada"):
        journal.append(small.store, state.subject("small"), 1, state.PIN, {"who": "os:grace", "why": "second"})
    assert decisions(small) == ["promote", "pin"]


def test_a_promoter_that_decided_and_could_not_copy_is_finished_by_its_retry_and_decides_once(small: Installation) -> None:
    small.settings.serving.write_text("in the way")
    spec = small.freeze(Q1, kind="scheduled")
    failed = small.run(spec)[-1]
    assert (failed.node, failed.outcome) == ("promoter", Outcome.FAILED)
    small.settings.serving.unlink()
    assert small.node(spec, "promoter", attempt=2).extra["promotion"]["outcome"] == "promoted"
    assert decisions(small) == ["promote"]
    assert served(small) == [V1]


def flip(path: pathlib.Path) -> None:
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


def replace(folder: pathlib.Path, other: pathlib.Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(other, folder)


@pytest.mark.parametrize("damage", ["a bit of the release", "a file more", "the bytes of an older release", "the verdict", "no release"])
def test_what_is_not_what_was_judged_is_never_promoted(small: Installation, damage: str) -> None:
    run(small, Q1), run(small, Q2, "backfill")
    release = releases.find(small.store, "small", V2)
    verdicts = list((small.settings.artifacts / "small" / release.run / "model_gate").rglob("verdict.json"))
    for path in (release.path, release.path / "saved_model.pb"):
        path.chmod(0o755)
    {
        "a bit of the release": lambda: flip(release.path / "saved_model.pb"),
        "a file more": lambda: (release.path / "more").write_text("evil"),
        "the bytes of an older release": lambda: replace(release.path, releases.find(small.store, "small", V1).path),
        "the verdict": lambda: verdicts[0].write_text(verdicts[0].read_text().replace("good", "gold")),
        "no release": lambda: shutil.rmtree(release.path),
    }[damage]()
    with pytest.raises(ReleaseRefused, match=r"expected sha256|cannot be trusted"):
        desk(small).promote(V2, ADA, "looks good")
    assert served(small) == [V1]


def test_the_base_path_is_made_again_from_the_record(small: Installation) -> None:
    run(small, Q1), run(small, Q2)
    for left in small.settings.serving.rglob("*"):
        left.chmod(0o755)
    shutil.rmtree(small.settings.serving)
    stranger = small.settings.serving / "small" / "99990101000001"
    stranger.mkdir(parents=True)
    assert follow(small) == (V1, V2)
    assert served(small) == [V1, V2]
    assert [p.name for p in (small.settings.serving / "small").iterdir() if p.name.startswith(".trash")] == []


def test_models_config_names_what_is_served(small: Installation) -> None:
    run(small, Q1), run(small, Q2)
    text = (small.settings.serving / base_path.CONFIG).read_text()
    [config] = text_format.Parse(text, model_server_config_pb2.ModelServerConfig()).model_config_list.config
    assert (config.name, config.base_path) == ("small", str(small.settings.serving / "small"))
    assert list(config.model_version_policy.specific.versions) == [V1, V2]
    assert not config.version_labels, "TensorFlow Serving refuses a file whose label names a version that is not loaded"


def test_a_release_that_is_served_is_read_only(small: Installation) -> None:
    run(small, Q1)
    paths = [small.settings.serving / "small" / str(V1), *(small.settings.serving / "small" / str(V1)).rglob("*")]
    assert {path.stat().st_mode & 0o222 for path in paths} == {0}


def test_the_command_line_says_what_is_served_and_when_the_base_path_is_not_what_was_decided(
    small: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(small, Q1), run(small, Q2), run(small, Q3, "backfill")
    small.answers_commands(monkeypatch)

    def waybill(*words: str) -> tuple[int, str]:
        status = command.main(list(words))
        said = capsys.readouterr()
        return status, said.out + said.err

    assert waybill("rollback", "small", str(V1), "--why", "it tips too much")[0] == 0
    assert served(small) == [V1]
    status, said = waybill("status", "small")
    assert status == 0 and "release 20130401000001 is served, pinned" in said and "it tips too much" in said
    status, said = waybill("releases", "small")
    assert "20130401000001" in said and "stable" in said and "held: it comes from a backfill run" in said
    assert json.loads(waybill("status", "small", "--json")[1])["served"] == [V1]
    (small.settings.serving / "small" / "20990101000001").mkdir()
    status, said = waybill("status", "small")
    assert status == 1 and "not what was decided" in said
    assert waybill("pin", "small", "--why", " ")[0] == 2
    assert waybill("unpin", "small", "--why", "two\nlines")[0] == 2
    assert decisions(small) == ["promote", "promote", "rollback"]


def test_a_request_is_used_up_by_its_promotion(small: Installation) -> None:
    run(small, Q2), run(small, Q1, "backfill")
    asked = desk(small).promote(V1, ADA, "Q2 was a strike")
    desk(small).approve(asked.number, GRACE, "seen")
    desk(small).rollback(V2, GRACE, "it was none")
    with pytest.raises(DecisionRefused, match="since then something else was"):
        desk(small).approve(asked.number, GRACE, "seen before")
    assert state.read(small.store, "small").stable == V2


def test_whoever_asks_through_an_orchestrator_cannot_agree_at_the_keyboard(small: Installation) -> None:
    run(small, Q2), run(small, Q1, "backfill")
    asked = desk(small).promote(V1, Person("airflow:ada", "os:airflow"), "Q2 was a strike")
    for same in (ADA, Person("airflow:ada", "os:airflow"), Person("airflow:grace", "os:ada")):
        with pytest.raises(DecisionRefused, match="cannot agree to it as well"):
            desk(small).approve(asked.number, same, "me again")
    assert desk(small).approve(asked.number, Person("airflow:grace", "os:airflow"), "seen").outcome == "promoted"


def test_clearing_promoter_alone_does_not_promote_what_was_held(small: Installation) -> None:
    run(small, Q1)
    desk(small).pin(True, ADA, "in doubt")
    spec = small.freeze(Q2, "two", kind="scheduled")
    assert small.run_in_one(spec)[-1].extra["promotion"]["outcome"] == "held"
    desk(small).pin(False, ADA, "no more")
    again = small.node(spec, "promoter", ticket="cleared")
    assert again.extra["promotion"]["outcome"] == "held" and "only promoter was asked for again" in again.message
    assert served(small) == [V1]


def test_a_rollback_works_though_the_version_before_it_was_removed(small: Installation) -> None:
    for start in (Q1, Q2, Q3, Q4):
        run(small, start)
    assert [r.version for r in retention.prune(small.store, small.settings, "small", 1, ADA, "the disk is small")] == [V2, V1]
    desk(small).rollback(V3, ADA, "in doubt")
    assert follow(small) == (V3,)
    assert served(small) == [V3]


def test_a_damaged_version_before_does_not_keep_the_new_one_from_being_served(small: Installation) -> None:
    run(small, Q1), run(small, Q2)
    for base in (small.settings.releases, small.settings.serving):
        for path in [base / "small", *(base / "small" / str(V2)).rglob("*"), base / "small" / str(V2)]:
            path.chmod(0o755)
    (small.settings.releases / "small" / str(V2) / "saved_model.pb").write_text("evil")
    spec = small.freeze(Q3, "three", kind="scheduled")
    assert small.run_in_one(spec)[-1].outcome is Outcome.REFUSED, "what was before is not what was released"
    assert served(small)[-1] == V3, "but the new one is served"


def test_decisions_on_versions_are_kept_by_postgresql_too(tmp_path: pathlib.Path) -> None:
    with postgres.server() as url:
        made = install(tmp_path, released_pipeline.SETTINGS, released_pipeline.create_pipeline, {}, url)
        for start in (Q1, Q2):
            made.land(start)
            assert run(made, start)["outcome"] == "promoted"
        assert desk(made).rollback(V1, ADA, "in doubt").outcome == "rolled_back"
        assert follow(made) == (V1,)
        assert [entry.says["version"] for entry in journal.entries(made.store, state.subject("small"))] == [V1, V2, V1]

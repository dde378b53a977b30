"""Old releases go only when asked for, never one that somebody may need, and their record stays."""

from __future__ import annotations

import pytest
import released_pipeline
from harness import Installation, Template, install

from waybill.cli import main as command
from waybill.records.person import Person
from waybill.serving import base_path, releases, state
from waybill.serving.errors import DecisionRefused
from waybill.serving.promotion import Desk
from waybill.store import journal

QUARTERS = ("2013-01-01", "2013-04-01", "2013-07-01", "2013-10-01", "2014-01-01")
V1, V2, V3, V4, V5 = 20130401000001, 20130701000001, 20131001000001, 20140101000001, 20140401000001
ADA, GRACE = Person("os:ada", "os:ada"), Person("os:grace", "os:grace")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """Five releases: the second is served, the first was before it, the others are held."""
    made = install(tmp_path_factory.mktemp("retention"), released_pipeline.SETTINGS, released_pipeline.create_pipeline, {})
    for start in QUARTERS:
        made.land(start)
        made.run_in_one(made.freeze(start, start, kind="scheduled" if start < "2013-07-01" else "backfill"))
    return Template(made)


@pytest.fixture
def small(template: Template, monkeypatch: pytest.MonkeyPatch) -> Installation:
    return template.again().answers_commands(monkeypatch)


def waybill(*words: str) -> int:
    return command.main(list(words))


def there(small: Installation) -> list[int]:
    return base_path.present(small.settings.releases / "small")


def test_a_look_removes_nothing_and_says_what_would_go(small: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    assert waybill("prune", "small", "--keep", "1") == 0
    told = capsys.readouterr().out
    assert f"{V5}  stays: one of the 1 newest" in told and f"{V4}  goes" in told
    assert f"{V2}  stays: it is served" in told and f"{V1}  stays: it was served before" in told
    assert there(small) == [V1, V2, V3, V4, V5]


def test_what_goes_is_gone_from_the_disk_and_stays_on_record(small: Installation) -> None:
    assert waybill("keep", "small", str(V3), "--why", "an audit") == 0
    assert waybill("prune", "small", "--keep", "1", "--apply", "--why", "the disk is small") == 0
    assert there(small) == [V1, V2, V3, V5]
    gone = releases.find(small.store, "small", V4)
    [entry] = [e for e in journal.entries(small.store, state.subject("small")) if e.kind == state.PRUNE]
    assert (entry.says["version"], entry.says["digest"], entry.says["why"]) == (V4, gone.digest, "the disk is small")
    assert waybill("doctor", "small") == 0, "what was decided to go is missed by nobody"
    with pytest.raises(DecisionRefused, match="its bytes are gone"):
        Desk(small.store, small.graph, small.settings).promote(V4, ADA, "back again")
    assert waybill("prune", "small", "--keep", "1", "--apply", "--why", "again") == 0
    assert there(small) == [V1, V2, V3, V5]


def test_a_removal_that_was_cut_off_after_the_decision_is_found_and_finished(small: Installation) -> None:
    number = state.read(small.store, "small").number
    journal.append(small.store, state.subject("small"), number, state.PRUNE, {"version": V4, "who": "os:ada", "why": "killed then"})
    assert waybill("doctor", "small") == 1
    assert waybill("doctor", "small", "--repair") == 0
    assert there(small) == [V1, V2, V3, V5]


def test_nothing_to_roll_back_to_and_no_reason_are_refused(small: Installation) -> None:
    assert waybill("prune", "small", "--keep", "0") == 2
    assert waybill("prune", "small", "--keep", "1", "--apply") == 2
    assert there(small) == [V1, V2, V3, V4, V5]

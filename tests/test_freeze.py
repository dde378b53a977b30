"""What the first task of a run says of its interval, its form and its partitions."""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import json
import pathlib
import re

import pytest
from harness import Installation, apart, make_tiny

from waybill.cli import load, nodes
from waybill.cli import sample as sample_verb
from waybill.cli.person import me
from waybill.launch import freeze, specs
from waybill.launch.errors import SpecMissing
from waybill.records.node import NodeResult, Outcome
from waybill.store import reads


@pytest.fixture
def tiny(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    made = make_tiny(tmp_path)
    monkeypatch.setattr(load, "settings_of", lambda _: made.pipeline)
    return made


def ask(tiny: Installation, start: str = "2013-04-01", **others: object) -> NodeResult:
    defaults = {"end": "", "kind": "manual", "who": "ada", "run": "tiny/run", "ticket": "t", "reason": "", "asked_at": "", "params": "{}"}
    args = argparse.Namespace(pipeline="tiny", start=start, **{**defaults, "promote": False, **others})
    return apart(lambda: nodes.frozen(args, tiny.settings, print))


def test_a_run_is_frozen_once_however_often_the_same_asking_comes(tiny: Installation) -> None:
    tiny.land("2013-04-01")
    first, again = ask(tiny), ask(tiny)
    assert first.outcome is Outcome.COMPLETE
    assert first.extra == again.extra
    assert first.extra["window"] == [{"index": 0, "label": "2013-04-01"}]


def test_another_asking_is_the_next_generation(tiny: Installation) -> None:
    tiny.land("2013-04-01")
    assert [ask(tiny, ticket=t).extra["run"] for t in ("a", "b", "a")] == [
        "tiny.201304010000.g1",
        "tiny.201304010000.g2",
        "tiny.201304010000.g1",
    ]


def test_the_frozen_spec_stands_on_the_runs_context(tiny: Installation) -> None:
    tiny.land("2013-04-01")
    result = ask(tiny)
    properties = reads.context_properties(tiny.store, "pipeline_run", str(result.extra["run"]))
    assert properties["run_spec"] == result.extra["spec"]
    assert json.loads(properties["run_spec_json"])["trigger"]["who"] == "ada"


def test_without_the_key_of_airflow_a_run_is_asked_for_in_nobodys_name_but_ones_own(tiny: Installation) -> None:
    tiny.land("2013-04-01")
    stranger = dataclasses.replace(tiny, settings=dataclasses.replace(tiny.settings, orchestrator_key=""))
    refused = ask(stranger)
    assert (refused.outcome, ask(stranger, who=me()).outcome) == (Outcome.REFUSED, Outcome.COMPLETE)
    assert "--who names a user of Airflow, and nothing shows that this process speaks for Airflow" in refused.message


@pytest.mark.parametrize(
    ("how", "said"), [({"who": ""}, "expected a person"), ({"reason": ""}, "is empty"), ({"reason": "a\nb"}, "U\\+000A")]
)
def test_a_wish_that_the_release_be_served_needs_a_person_and_a_reason(tiny: Installation, how: dict[str, str], said: str) -> None:
    tiny.land("2013-04-01")
    refused = ask(tiny, promote=True, **{"reason": "a strike", **how})
    assert refused.outcome is Outcome.REFUSED
    assert re.search(said, refused.message)
    asked = ask(tiny, promote=True, reason="a strike")
    assert specs.load(tiny.settings.specs, asked.extra["spec"]).trigger.promote


def test_the_window_has_what_landed_and_names_what_did_not(tiny: Installation) -> None:
    for start in ("2013-01-01", "2013-07-01", "2013-10-01"):
        tiny.land(start)
    result = ask(tiny, "2013-10-01", params='{"window": 4}')
    spec = specs.load(tiny.settings.specs, str(result.extra["spec"]))
    assert [p.interval.label for p in spec.window] == ["2013-01-01", "2013-07-01", "2013-10-01"]
    assert spec.absent == (201304010000,)


def test_a_sample_of_what_the_model_was_asked_is_frozen_if_it_landed_before(tiny: Installation, tmp_path: pathlib.Path) -> None:
    tiny.land("2013-04-01")
    before = specs.load(tiny.settings.specs, str(ask(tiny, ticket="a").extra["spec"]))
    requests = tmp_path / "requests.csv"
    requests.write_text('name\n"one\nrow"\nanother\n')
    command = argparse.Namespace(pipeline="tiny", interval="2013-04-01", files=[str(requests)], replace=False)
    assert sample_verb.deliver_sample(command, tiny.settings) == 2
    after = specs.load(tiny.settings.specs, str(ask(tiny, ticket="b").extra["spec"]))
    assert before.sample is None and "sample" not in before.to_json()
    assert after.sample is not None and after.sample.rows == 2
    assert (after.window, after.digest == before.digest) == (before.window, False)
    again = specs.load(tiny.settings.specs, str(ask(tiny, ticket="a").extra["spec"]))
    assert again == before, "a run is not changed by what lands after it was frozen"


def test_a_partition_that_is_not_there_is_waited_for_until_the_deadline(tiny: Installation) -> None:
    now = dt.datetime.now(dt.timezone.utc)
    patience = dt.timedelta(minutes=tiny.pipeline.landing_patience_minutes)
    assert ask(tiny, asked_at=now.isoformat()).outcome is Outcome.NOT_LANDED
    late = ask(tiny, asked_at=(now - patience - dt.timedelta(minutes=1)).isoformat())
    assert late.outcome is Outcome.LATE
    assert not late.retried


def test_the_landing_deadline_counts_from_the_intervals_end_when_that_is_later(tiny: Installation) -> None:
    interval = tiny.interval("2013-04-01")
    moment = interval.end + dt.timedelta(minutes=30)
    assert not freeze.is_late(interval, interval.start, moment, 60)
    assert freeze.is_late(interval, interval.start, interval.end + dt.timedelta(minutes=60), 60)


def test_a_waiting_run_uses_up_no_generation(tiny: Installation) -> None:
    ask(tiny, ticket="waiting")
    tiny.land("2013-04-01")
    assert ask(tiny, ticket="other").extra["run"] == "tiny.201304010000.g1"


def test_a_folder_without_a_manifest_and_changed_bytes_are_told_apart(tiny: Installation) -> None:
    folder = tiny.settings.landing / "tiny"
    (folder / "2013-04-01").mkdir(parents=True)
    assert ask(tiny).outcome is Outcome.EMPTY
    tiny.land("2013-07-01")
    (folder / "2013-07-01" / "data.csv").write_text("name\nanother row\n")
    changed = ask(tiny, "2013-07-01")
    assert changed.outcome is Outcome.CORRUPT
    assert "data.csv" in changed.message


@pytest.mark.parametrize(
    ("others", "says"),
    [
        ({"start": "2013-04-02"}, "no interval of tiny begins at"),
        ({"start": "yesterday"}, "expected a date such as 2013-07-01"),
        ({"end": "2013-05-01"}, "by the schedule it ends at"),
        ({"params": '{"window": 99}'}, "parameter window is 99; expected 1 to 8"),
        ({"params": '{"windw": 2}'}, "unknown parameter windw"),
        ({"params": '{"window": "2"}'}, "expected int"),
        ({"params": "{"}, "Expecting property name"),
    ],
)
def test_what_a_run_cannot_be_about_is_refused_with_the_reason(tiny: Installation, others: dict[str, str], says: str) -> None:
    tiny.land("2013-04-01")
    result = ask(tiny, **others)
    assert result.outcome is Outcome.REFUSED
    assert says in result.message


def test_a_damaged_spec_is_not_believed(tiny: Installation) -> None:
    tiny.land("2013-04-01")
    spec = str(ask(tiny).extra["spec"])
    [path] = tiny.settings.specs.glob("*.json")
    path.chmod(0o644)
    path.write_text(path.read_text().replace('"generation":1', '"generation":2'))
    with pytest.raises(SpecMissing, match="damaged"):
        specs.load(tiny.settings.specs, spec)


def test_a_spec_is_named_for_everything_in_it(tiny: Installation) -> None:
    tiny.land("2013-04-01")
    spec = specs.load(tiny.settings.specs, str(ask(tiny).extra["spec"]))
    for change in ({"generation": 2}, {"params": {**spec.params, "window": 1}}, {"schema": "sha256:" + "1" * 64}, {"absent": (1,)}):
        assert dataclasses.replace(spec, **change).digest != spec.digest

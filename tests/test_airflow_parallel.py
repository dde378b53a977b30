"""Through the front door: quarters that are backfilled four at a time end as they do one after the other, with TFX's real components."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from test_airflow_end_to_end import HERE, in_tfx, wait

from waybill.cli import marked, services
from waybill.cli.airflow_environment import MARK
from waybill.cli.services import AirflowService
from waybill.launch import specs, units
from waybill.records import digest, verdict_file
from waybill.records import settings as settings_lib
from waybill.records.run_spec import RunSpec
from waybill.records.verdict import MODEL_DIGEST
from waybill.store import generations, reads
from waybill.store.connection import Store

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(not (settings_lib.PROJECT / ".venv/bin/python").is_file(), reason="TFX's Python is not installed; `make test` does"),
]

STARTS = ["2013-01-01", "2013-04-01", "2013-07-01", "2013-10-01", "2014-01-01", "2014-04-01", "2014-07-01", "2014-10-01"]
SPOILT = "2013-10-01"
AT_ONCE = 4
PARAMS = {"window": 2, "train_steps": 300}
EIGHT = f"{HERE}/eight_quarters.py"
NUMBER = re.compile(r"-?\d+\.\d+")
# What infra_validator measures: how long it took, in how much memory, and differences in the last digits, which no two runs share.
MEASURED = ("latency.", "infra.process", "infra.agree", "infra.trained")


@dataclasses.dataclass
class Ended:
    """What a home's record says of its runs."""

    home: pathlib.Path

    @property
    def settings(self) -> settings_lib.Settings:
        return settings_lib.load({"WAYBILL_HOME": str(self.home)})

    @property
    def store(self) -> Store:
        return Store(self.settings.store_url)

    def runs(self) -> dict[str, RunSpec]:
        """The specs by their quarters, of which each has one."""
        found = [specs.load(self.settings.specs, one) for one in generations.all_frozen(self.store, "taxi")]
        assert len(found) == len({spec.interval for spec in found})
        return {spec.interval.label: spec for spec in found}

    def outputs(self, unit: str, node: str) -> dict[str, list[reads.ArtifactRow]]:
        """What a node left; empty where it has not run."""
        done = reads.successful_execution(self.store, "taxi", unit, node)
        return reads.outputs(self.store, done.id) if done else {}

    def spans(self, spec: RunSpec) -> list[str]:
        """Digests of the landed partitions of a window, and of the examples that were made of them."""
        made = [self.outputs(units.of_span(spec, index).name, "example_gen")["examples"] for index in range(len(spec.window))]
        return [*(partition.digest for partition in spec.window), *(artifact.digest for [artifact] in made)]

    def vocabularies(self, spec: RunSpec) -> dict[str, str]:
        """Digests of the vocabularies that `transform` counted, by name."""
        return {
            path.name: digest.of_file(path)
            for artifact in self.outputs(spec.run, "transform").get("transform_graph", [])
            for path in pathlib.Path(artifact.uri).glob("transform_fn/assets/*")
        }

    def baseline(self, spec: RunSpec) -> str:
        """The version that the model was compared with."""
        done = reads.successful_execution(self.store, "taxi", spec.run, "baseline")
        chosen = str(done.properties["chosen"]) if done else "none: the run was stopped before"
        return chosen.split(" (")[0]

    def decision(self, spec: RunSpec) -> tuple[str, str]:
        """Whether the release is served, and why not."""
        promotion = [artifact.properties for artifact in self.outputs(spec.run, "promoter").get("promotion", [])]
        return next(((str(says["outcome"]), str(says["says"])) for says in promotion), ("blocked", ""))

    def rules(self, spec: RunSpec, gate: str) -> list[tuple[str, str, str, str, list[float]]]:
        """What a gate found: each rule without its numbers, and its numbers."""
        [artifact] = self.outputs(spec.run, gate).get("verdict", [None])
        rules = verdict_file.read(pathlib.Path(artifact.uri), gate).rules if artifact else ()
        said = [(rule, "" if rule.name.startswith(MEASURED) else rule.found) for rule in rules if rule.name != MODEL_DIGEST]
        return [
            (rule.name, rule.subject, rule.outcome.value, NUMBER.sub("_", found), [float(n) for n in NUMBER.findall(found)])
            for rule, found in said
        ]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ended, Ended]]:
    """The same quarters: backfilled four at a time by Airflow, and one after the other by the same launcher without it."""
    parallel, serial = tmp_path_factory.mktemp("parallel"), tmp_path_factory.mktemp("serial")
    environ = {"WAYBILL_HOME": str(parallel), "WAYBILL_RETRY_SECONDS": "1", "WAYBILL_SCHEDULE_END": "2015-01-01"}
    in_tfx(environ, EIGHT, "land", json.dumps({"starts": STARTS, "spoilt": SPOILT}))
    shutil.copytree(parallel, serial, dirs_exist_ok=True)
    service = AirflowService(settings_lib.load(environ))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services, "_PORT", 0)  # any: several that start at once would all find the usual one free
        service.start()
    # Beside the other, which waits now and then.
    one_by_one = subprocess.Popen(
        [str(settings_lib.PROJECT / ".venv/bin/python"), EIGHT, "run", json.dumps({"starts": STARTS, "params": PARAMS})],
        env={**{k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "WAYBILL"))}, "WAYBILL_HOME": str(serial)},
    )
    try:
        backfill(service)
        assert one_by_one.wait() == 0
        yield Ended(parallel), Ended(serial)
    finally:
        one_by_one.kill()
        one_by_one.wait()
        record = service.record()
        service.stop()
        assert record is None or marked.marked(MARK, record.mark) == []


def backfill(service: AirflowService) -> None:
    """Backfills all quarters; the schedule finds each of them made."""
    client = service.client()
    client.wait_for_dag("taxi")
    client.backfill("taxi", STARTS[0], STARTS[-1], conf=PARAMS, at_once=AT_ONCE)
    client.pause("taxi", paused=False)
    most = 0

    def over() -> bool:
        nonlocal most
        states = [str(run["state"]) for run in client.runs("taxi")]
        most = max(most, states.count("running"))
        return set(states) <= {"success", "failed"}

    wait(over, "all quarters to end")
    assert most == AT_ONCE
    runs: list[dict[str, Any]] = client.runs("taxi")
    assert [(str(run["data_interval_start"])[:10], run["run_type"]) for run in runs] == [(start, "backfill") for start in STARTS]
    assert runs[STARTS.index(SPOILT)]["state"] == "failed"


def test_the_same_quarters_end_with_the_same_releases_windows_and_vocabularies(ended: tuple[Ended, Ended]) -> None:
    parallel, serial = ended
    assert list(parallel.runs()) == list(serial.runs()) == STARTS
    for label, spec in parallel.runs().items():
        twin = serial.runs()[label]
        assert (spec.version, spec.absent) == (twin.version, twin.absent)
        assert parallel.spans(spec) == serial.spans(twin), label
        assert parallel.vocabularies(spec) == serial.vocabularies(twin), label
        assert bool(parallel.vocabularies(spec)) == (label != SPOILT)
    assert released(parallel) == released(serial)
    assert len(released(parallel)) > AT_ONCE, "there is something to compare"


def released(one: Ended) -> list[str]:
    return sorted(path.name for path in (one.settings.releases / "taxi").iterdir() if path.name.isdigit())


def test_they_have_the_same_baselines_and_decisions(ended: tuple[Ended, Ended]) -> None:
    parallel, serial = ended
    for label, spec in parallel.runs().items():
        twin = serial.runs()[label]
        assert parallel.baseline(spec) == serial.baseline(twin), label
        assert parallel.decision(spec) == serial.decision(twin), label
        older = [version for version in released(parallel) if version < f"{spec.interval.start:%Y%m%d%H%M}99"]
        assert older == [] or parallel.baseline(spec).startswith("none") or parallel.baseline(spec) == f"release {older[-1]}", label
    assert [parallel.decision(spec)[0] for spec in parallel.runs().values()].count("held") == len(released(parallel))


@pytest.mark.parametrize("gate", ["data_gate", "infra_validator", "model_gate"])
def test_every_rule_of_every_gate_finds_the_same(ended: tuple[Ended, Ended], gate: str) -> None:
    parallel, serial = ended
    assert any(parallel.rules(spec, gate) for spec in parallel.runs().values()), "there is something to compare"
    for label, spec in parallel.runs().items():
        mine, theirs = parallel.rules(spec, gate), serial.rules(serial.runs()[label], gate)
        assert [rule[:4] for rule in mine] == [rule[:4] for rule in theirs], label
        for (name, subject, *_, found), (*_, expected) in zip(mine, theirs, strict=True):
            assert found == pytest.approx(expected, abs=5e-3), (label, name, subject)

"""The doctor finds where record, folders and processes disagree, says why, mends what is safe, and is silent when there is nothing."""

from __future__ import annotations

import json
import pathlib
import shutil

import pytest
import released_pipeline
from harness import Installation, install

from waybill.cli import main as command
from waybill.launch.lease import lease
from waybill.records.node import Outcome
from waybill.serving import base_path, releases
from waybill.store import reads

Q1, Q2 = "2013-01-01", "2013-04-01"
V1, V2 = 20130401000001, 20130701000001


@pytest.fixture
def small(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    made = install(tmp_path, released_pipeline.SETTINGS, released_pipeline.create_pipeline, {})
    monkeypatch.setenv("WAYBILL_HOME", str(made.settings.home))
    monkeypatch.setattr("waybill.cli.load.graph_of", lambda _: made.graph)
    for start in (Q1, Q2):
        made.land(start)
        assert made.run_in_one(made.freeze(start, start, kind="scheduled"))[-1].successful
    return made


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]):
    def ask(*words: str) -> tuple[int, str]:
        status = command.main(["doctor", "small", *words])
        return status, capsys.readouterr().out

    return ask


def writable(path: pathlib.Path) -> pathlib.Path:
    for part in (path.parent, path, *path.rglob("*")):
        part.chmod(0o755)
    return path


def emptied(path: pathlib.Path) -> pathlib.Path:
    shutil.rmtree(writable(path))
    return path


def test_nothing_is_found_where_nothing_disagrees(small: Installation, doctor) -> None:
    assert doctor() == (0, "no disagreements (small)\n")


@pytest.mark.parametrize(
    "damage", ["a version is gone", "a version too many", "other bytes", "a file more", "an older version's bytes", "no config"]
)
def test_a_base_path_that_is_not_what_was_decided_is_found_and_made_again(small: Installation, doctor, damage: str) -> None:
    base = small.settings.serving / "small"
    {
        "a version is gone": lambda: shutil.rmtree(writable(base / str(V2))),
        "a version too many": lambda: (base / "99990101000001").mkdir(),
        "other bytes": lambda: (writable(base / str(V2)) / "saved_model.pb").write_text("evil"),
        "a file more": lambda: (writable(base / str(V2)) / "more").write_text("evil"),
        "an older version's bytes": lambda: shutil.copytree(base / str(V1), emptied(base / str(V2)), dirs_exist_ok=True),
        "no config": lambda: (small.settings.serving / base_path.CONFIG).unlink(),
    }[damage]()
    status, told = doctor()
    assert status == 1 and "base path of small" in told and "--repair" in told
    status, told = doctor("--repair")
    assert status == 0 and "mended: the Serving base path of small" in told
    assert base_path.present(base) == [V1, V2]
    assert (base / str(V2) / "saved_model.pb").read_text().startswith("good")
    assert doctor()[0] == 0


def test_a_release_whose_bytes_changed_is_told_and_not_mended(small: Installation, doctor) -> None:
    path = releases.find(small.store, "small", V1).path
    (writable(path) / "saved_model.pb").write_text("evil")
    for words in ((), ("--repair",)):
        status, told = doctor(*words)
        assert status == 1 and f"release {V1} of small" in told and "put its folder back from a copy" in told


def test_a_release_that_no_record_knows_is_told(small: Installation, doctor) -> None:
    (small.settings.releases / "small" / "20990101000001").mkdir()
    status, told = doctor()
    assert status == 1 and "no release of that version is on record" in told


def test_an_execution_whose_process_is_gone_is_closed_with_its_cause_and_its_output_put_aside(small: Installation, doctor) -> None:
    spec = small.freeze(Q1, "killed", kind="scheduled", quality="good, and killed")
    small.run(spec, upto="data_gate")
    assert small.node(spec, "trainer").outcome is Outcome.KILLED
    reopen(small, spec.run, "trainer")
    left = small.settings.artifacts / "small" / spec.run / "trainer" / "model" / "7" / "half"
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_text("half-written")
    status, told = doctor()
    assert status == 1 and f"trainer of {spec.run}" in told and "no process works on it" in told
    with lease(small.settings.leases, spec.run, "trainer", print):
        assert "no process works on it" not in doctor()[1], "one that is at work is left alone"
    doctor("--repair")
    [execution] = reads.executions(small.store, "small", spec.run, "trainer")
    assert execution.state == "FAILED" and "ended without a word" in execution.properties["failure_cause"]
    assert not left.exists() and list(small.settings.quarantine.rglob("half"))


def test_a_run_of_the_command_line_that_nobody_goes_on_with_is_told_with_the_command(small: Installation, doctor) -> None:
    spec = small.freeze(Q1, "mine", kind="command_line")
    small.run(spec, upto="data_gate")
    status, told = doctor()
    assert status == 1 and "go on with: waybill run small --interval 2013-01-01 --ticket mine" in told


def test_a_release_nobody_has_decided_about_is_told(small: Installation, doctor) -> None:
    small.run(small.freeze(Q2, "stopped", kind="scheduled", quality="good again"), upto="pusher")
    status, told = doctor()
    assert status == 1 and "promoter of small.201304010000.g2" in told


def test_a_lost_spec_is_told(small: Installation, doctor) -> None:
    spec = small.freeze(Q2, "lost", kind="scheduled")
    next(small.settings.specs.glob(f"{spec.digest[7:]}*")).unlink()
    status, told = doctor()
    assert status == 1 and f"the store names run spec {spec.digest}" in told


def test_a_machine_gets_the_findings_as_json(small: Installation, doctor) -> None:
    (small.settings.releases / "small" / "20990101000001").mkdir()
    [finding] = json.loads(doctor("--json")[1])["findings"]
    assert finding["where"] == "release 20990101000001 of small" and finding["safe"] is False


def reopen(small: Installation, run: str, node: str) -> None:
    """Makes an execution look as a killed process leaves it when nobody comes after it."""
    import sqlalchemy as sa

    from waybill.store import tables as t

    [execution] = reads.executions(small.store, "small", run, node)
    with small.store.writing() as connection:
        connection.execute(sa.update(t.execution).where(t.execution.c.id == execution.id).values(last_known_state=2))

"""The doctor finds where record, folders and processes disagree, says why, mends what is safe, and is silent when there is nothing."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import time

import pytest
import released_pipeline
from harness import Installation, Template, install

from waybill.cli import main as command
from waybill.launch.lease import lease
from waybill.records.node import Outcome
from waybill.serving import base_path, releases
from waybill.store import reads

Q1, Q2 = "2013-01-01", "2013-04-01"
V1, V2 = 20130401000001, 20130701000001


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    made = install(tmp_path_factory.mktemp("doctor"), released_pipeline.SETTINGS, released_pipeline.create_pipeline, {})
    for start in (Q1, Q2):
        made.land(start)
        assert made.run_in_one(made.freeze(start, start, kind="scheduled"))[-1].successful
    return Template(made)


@pytest.fixture
def small(template: Template, monkeypatch: pytest.MonkeyPatch) -> Installation:
    return template.again().answers_commands(monkeypatch)


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
    status, told = doctor()
    assert status == 0 and told.endswith("\nno disagreements (small)\n")


def test_it_says_that_no_airflow_was_asked_when_none_was(small: Installation, doctor) -> None:
    assert doctor()[1].startswith("Airflow was not asked: `make up` of this home has started none that runs, and WAYBILL_AIRFLOW names no")
    assert json.loads(doctor("--json")[1])["airflow"].startswith("Airflow was not asked: ")


def test_an_airflow_that_is_named_and_does_not_answer_is_a_finding(small: Installation, doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYBILL_AIRFLOW", "http://127.0.0.1:1/")
    monkeypatch.setenv("WAYBILL_AIRFLOW_LOGIN", "ada:secret")
    status, told = doctor()
    assert status == 1 and "it cannot be asked at http://127.0.0.1:1: " in told and "secret" not in told


@pytest.mark.parametrize(
    ("mode", "text", "why"),
    [(None, "", "nothing says how to log in there"), (0o644, "ada:secret", "of mode 0644; expected 0600"), (0o600, "", "nothing says how")],
)
def test_an_airflow_that_is_named_without_a_login_is_refused(
    small: Installation, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, mode: int | None, text: str, why: str
) -> None:
    monkeypatch.setenv("WAYBILL_AIRFLOW", "http://127.0.0.1:1")
    if mode is not None:
        file = small.settings.home / "login"
        file.write_text(text)
        file.chmod(mode)
        monkeypatch.setenv("WAYBILL_AIRFLOW_LOGIN_FILE", str(file))
    assert command.main(["doctor", "small"]) == 2
    said = capsys.readouterr().err
    assert why in said and "secret" not in said


@pytest.mark.parametrize(
    "damage",
    ["a version is gone", "a version too many", "other bytes", "a file more", "an older version's bytes", "no config", "half taken out"],
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
        "half taken out": lambda: (base / ".trash-20120101000001-0a1b2c3d").mkdir(),
    }[damage]()
    status, told = doctor()
    assert status == 1 and "base path of small" in told and "--repair" in told
    status, told = doctor("--repair")
    assert status == 0 and "mended: the Serving base path of small" in told
    assert base_path.present(base) == [V1, V2] and not list(base.glob(".trash-*"))
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


def test_artifacts_of_a_unit_that_mlmd_does_not_know_are_told_once_they_are_old_and_nobody_works_on_them(small, doctor) -> None:
    folder = small.settings.artifacts / "small" / "small.201301010000.g9"
    aged(folder / "trainer" / "model" / "7" / "saved_model.pb")
    with lease(small.settings.leases, folder.name, "trainer", print):
        assert doctor()[0] == 0, "one that is at work is left alone"
    status, told = doctor("--repair")
    assert status == 1 and f"{str(folder)!r} is there, but MLMD knows no unit" in told and "remove the folder" in told
    assert told.count("MLMD knows no unit") == 1, "the folders of real runs are old or young, and known"
    os.utime(folder / "trainer" / "model" / "7")
    assert doctor()[0] == 0, "one that was touched a moment ago may be at work elsewhere"


def test_a_spec_that_belongs_to_no_generation_is_told(small: Installation, doctor) -> None:
    real = next(small.settings.specs.glob("*.json"))
    aged(real)
    aged(small.settings.specs / f"{'0' * 64}.json", real.read_text())
    aged(small.settings.specs / ".half", "{")
    (small.settings.specs / f"{'1' * 64}.json").write_text("{")
    status, told = doctor()
    assert status == 1 and told.count("no generation in the store") == 2 and "2 disagreements" in told
    assert "is a spec of small, 2013-" in told and "is no whole spec" in told and "remove the file" in told


def test_what_an_attempt_left_for_the_next_one_is_told_when_none_comes(small: Installation, doctor) -> None:
    killed = small.freeze(Q2, "killed", kind="scheduled")
    small.run(killed, upto="data_gate")
    of_none, done = "small.209901010000.g1", "small.201301010000.g1"
    for unit in (killed.run, done, of_none):
        aged(small.settings.scratch / "small" / unit / "trainer" / "checkpoint")
    aged(small.settings.scratch / "orders" / "some-job")
    (small.settings.scratch / "small" / killed.run / "pusher").mkdir()
    with lease(small.settings.leases, killed.run, "trainer", print):
        assert "2 disagreements" in doctor()[1], "one that is at work is left alone"
    status, told = doctor()
    assert status == 1 and "3 disagreements" in told
    assert f"trainer of {killed.run}\n" in told and "clear trainer of that run, which goes on from there" in told
    assert "its node has succeeded since" in told and "MLMD knows no unit of work" in told


def test_a_base_path_of_a_model_that_nobody_knows_is_told(small: Installation, doctor) -> None:
    for model in ("small", "stranger"):
        aged(small.settings.serving / model / "1.txt")
    (small.settings.serving / "begun").mkdir()
    status, told = doctor()
    assert status == 1 and "the Serving base path of stranger" in told and "move it away" in told and "1 disagreement (" in told


def aged(file: pathlib.Path, text: str = "") -> None:
    """Makes a file, unless it is there, and lets it and the folders around it be as old as what nobody works on."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        file.write_text(text)
    long_ago = time.time() - 2 * 24 * 3600
    for path in (file, *file.parents[:4]):
        os.utime(path, (long_ago, long_ago))


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

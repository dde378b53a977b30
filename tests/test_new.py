"""`waybill new`: a folder of tables becomes a pipeline that runs, whole or not at all; what cannot is refused with what to do."""

from __future__ import annotations

import csv
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from sklearn.datasets import load_breast_cancer, load_iris

from waybill.cli.main import main
from waybill.records import settings
from waybill.records.errors import RecordError
from waybill.scaffold import cells, folder, place, table
from waybill.scaffold.columns import look
from waybill.scaffold.label import Classes
from waybill.scaffold.names import check_name, targets

PROJECT = settings.PROJECT
COPIED = ("waybill", "components", "pipelines", "schemas", "dags", "tests")
FILES = ("setup.py", "pyproject.toml", "requirements.txt")


def written(where: pathlib.Path, rows: list[dict[str, object]], months: int = 3) -> pathlib.Path:
    """A folder of monthly CSV files, the rows dealt to them."""
    where.mkdir(exist_ok=True)
    for month in range(months):
        with (where / f"2024-0{month + 1}.csv").open("w", newline="") as handle:
            writer = csv.DictWriter(handle, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows[month::months])
    return where


def flowers() -> list[dict[str, object]]:
    """The real irises, with names that a model can be asked by."""
    found = load_iris()
    columns = [cells.plain(name) for name in found.feature_names]
    kinds = found.target_names[found.target]
    return [{**dict(zip(columns, row, strict=True)), "kind": kind} for row, kind in zip(found.data.tolist(), kinds, strict=True)]


def samples(positive: Callable[[int], object] = int) -> list[dict[str, object]]:
    """Two columns of the real samples of tissue, and what they turned out to be."""
    found = load_breast_cancer()
    pairs = zip(found.data[:, :2].tolist(), found.target.tolist(), strict=True)
    return [{"radius": radius, "texture": texture, "target": positive(target)} for (radius, texture), target in pairs]


def commands_of_the_readme() -> str:
    """The commands that the tutorial begins with, as a person pastes them."""
    section = (PROJECT / "README.md").read_text().split("## A pipeline for a table of your own")[1]
    block = re.findall(r"^```\n(.*?)^```", section, re.DOTALL | re.MULTILINE)[0]
    return "\n".join(line.removeprefix("$ ") for line in block.splitlines())


@pytest.fixture
def project(tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of the project, in which pipelines may be made."""
    copy = tmp_path / "project"
    for name in COPIED:
        shutil.copytree(PROJECT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(PROJECT / name, copy / name)
    (copy / ".venv").symlink_to(pathlib.Path(sys.executable).parents[1])
    return copy


@pytest.mark.end_to_end
def test_the_commands_of_the_readme_end_with_a_held_release_of_a_pipeline_that_was_not_there(project: pathlib.Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("WAYBILL_")}
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands_of_the_readme()],
        cwd=project, env={**environ, "PYTHONPATH": str(project)}, capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    assert "release 20240501000001 is held" in ended.stdout
    assert (project / "var/releases/cancer/20240501000001/saved_model.pb").is_file()
    assert "4 passed" in ended.stdout
    assert all((project / path).exists() for path in targets("cancer").values())
    assert sorted(path.name for path in (project / "pipelines/cancer").iterdir() if path.is_file()) == [
        "__init__.py", "features.py", "graph.json", "model.py", "pipeline.py", "policy.py", "settings.py",
    ]  # fmt: skip
    assert not list((project / ".new").glob("staging"))
    again = subprocess.run(
        [sys.executable, "-m", "waybill.cli.main", "new", "cancer", "--from", "var/tables", "--label", "target"],
        cwd=project, env=environ, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (again.returncode, again.stdout) == (2, "")
    assert "there is a pipeline 'cancer' already" in again.stderr


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("../up", "expected 2 to 40 small letters"),
        ("a; rm -rf b", "expected 2 to 40 small letters"),
        ("Cancer", "expected 2 to 40 small letters"),
        ("x" * 41, "expected 2 to 40 small letters"),
        ("", "expected 2 to 40 small letters"),
        ("lambda", "a word of Python's own"),
        ("match", "a word of Python's own"),
        ("airflow_orders", "tests of such a name run in Airflow's Python"),
        ("taxi", "there is a pipeline 'taxi' already"),
        ("journey", "as of a Python module that is there already"),
        ("waybill", "as of a Python module that is there already"),
        ("json", "as of a Python module that is there already"),
        ("tensorflow", "as of a Python module that is there already"),
        ("doctor", "dags/doctor_dag.py is there already"),
    ],
)
def test_a_name_that_no_pipeline_can_have_is_refused_first_of_all(name: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RecordError, match=re.escape(says)):
        check_name(name, PROJECT)
    assert main(["new", name, "--from", "nowhere", "--label", "none"]) == 2
    assert says in capsys.readouterr().err


def test_folder_and_label_are_asked_for_where_somebody_answers_and_demanded_where_nobody_does(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = [str(written(tmp_path / "tables", flowers())), "nope"]
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda prompt: (asked.append(prompt), answers.pop(0))[1])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert main(["new", "never_made"]) == 2
    assert [prompt.split()[0] for prompt in asked] == ["Folder", "Which"]
    out, err = capsys.readouterr()
    assert "The columns: sepal_length_cm, sepal_width_cm" in out and "there is no column 'nope'" in err
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert main(["new", "never_made"]) == 2
    assert "add --from FOLDER" in capsys.readouterr().err


def test_a_table_that_is_sorted_by_its_label_is_said_to_be(tmp_path: pathlib.Path) -> None:
    from waybill.scaffold import render
    from waybill.scaffold.plan import Plan

    where, rows = tmp_path / "tables", flowers()
    where.mkdir()
    for month in range(2):
        written(tmp_path / f"{month}", rows[75 * month : 75 * month + 75], months=1)
        (tmp_path / f"{month}/2024-01.csv").rename(where / f"2024-0{month + 1}.csv")
    found, label = table.read(where).labelled("kind", "", ())
    plan = Plan("flowers", found.schedule, found.parts, found.columns, label, None, None, None)
    assert [render.absent(plan, part) for part in found.parts] == ["'virginica'", "'setosa'"]


def bad_tables() -> Iterator[tuple[str, Callable[[pathlib.Path], pathlib.Path], str, str]]:
    """What is wrong, a folder with it, the label, and what is said."""
    rows = flowers()

    def with_column(name: str, value: Callable[[int], object]) -> Callable[[pathlib.Path], pathlib.Path]:
        return lambda where: written(where, [{name: value(n), **row} for n, row in enumerate(rows)])

    def touched(*names: str) -> Callable[[pathlib.Path], pathlib.Path]:
        def touch(where: pathlib.Path) -> pathlib.Path:
            where.mkdir()
            for name in names:
                (where / name).write_text("a,b\n1,2\n")
            return where

        return touch

    yield "no folder", lambda where: where, "kind", "is no folder"
    yield "an empty folder", touched(), "kind", "holds nothing, and no partition"
    yield "no tables", touched("notes.txt"), "kind", "holds notes.txt, and no partition"
    yield "no date", touched("data.csv"), "kind", "does not tell the start of its interval"
    yield "no such day", touched("2024-02-31.csv"), "kind", "does not tell the start of its interval"
    yield "two of one day", touched("2024-01-01.csv", "b_20240101.csv"), "kind", "are both of 2024-01-01"
    yield "only one", touched("2024-01-01.csv"), "kind", "say it with --schedule"
    yield "label not there", lambda where: written(where, rows), "species", "there is no column 'species'; expected one of sepal_length_cm"
    yield "a quantity", lambda where: written(where, rows), "sepal_length_cm", "different numbers, as a quantity has"
    yield "too many classes", with_column("word", lambda n: f"w{n}"), "word", "150 different words; expected 2 to 20 classes"
    yield "one class", with_column("one", lambda n: "same"), "one", "is 'same' in every row"
    yield "rare class", with_column("rare", lambda n: "odd" if n == 7 else f"w{n % 2}"), "rare", "'odd' (1 rows)"
    yield "gaps", with_column("gaps", lambda n: "" if n == 7 else n % 2), "gaps", "is missing in 1 of 150 rows"
    yield "odd column", with_column("width (cm)", lambda n: n), "kind", "add --rename to have them landed as width_cm"
    yield "hostile column", with_column('"]);import os#', lambda n: n), "kind", "have names that a model cannot be asked by"
    yield "keyword", with_column("class", lambda n: n), "kind", "no word of Python's"
    yield "reserved", with_column("span", lambda n: n), "kind", "as the one that ingestion adds"
    yield "capitals", with_column("Kind", lambda n: n), "kind", "differ by capitals only"
    alone = [{"kind": row["kind"], "always": 1} for row in rows]
    yield (
        "nothing else",
        lambda where: written(where, alone),
        "kind",
        "no column is left to learn from (always: it says the same in every row)",
    )


@pytest.mark.parametrize(("make", "label", "says"), [pytest.param(*rest, id=what) for what, *rest in bad_tables()])
def test_a_table_that_nothing_can_be_written_for_is_refused_with_what_to_do(
    tmp_path: pathlib.Path, make: Callable[[pathlib.Path], pathlib.Path], label: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    where = make(tmp_path / "tables")
    assert main(["new", "never_made", "--from", str(where), "--label", label]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert not (PROJECT / "pipelines/never_made").exists()


@pytest.mark.parametrize(
    ("names", "schedule"),
    [
        (("2013.csv", "2014.csv"), "0 0 1 1 *"),
        (("2013-Q1.csv", "2013-Q2.csv"), "0 0 1 */3 *"),
        (("2013-01-01.csv", "2013-04-01.csv"), "0 0 1 */3 *"),
        (("t_201301.csv", "t_201302.csv"), "0 0 1 * *"),
        (("2013-W05.csv", "2013-W06.csv"), "0 0 * * 1"),
        (("2013-01-06.csv", "2013-01-20.csv"), "0 0 * * 0"),
        (("2013-01-06.csv", "2013-01-07.csv"), "0 0 * * *"),
    ],
)
def test_the_names_of_the_partitions_tell_the_schedule(names: tuple[str, ...], schedule: str) -> None:
    starts = [folder.start_of(name) for name in names]
    cron = folder.schedule_of(starts)
    assert cron == schedule
    table.check_starts([folder.Delivered(start, ()) for start in starts], table.settings_for("some", cron, "2013-01-01"))


def test_a_partition_that_does_not_go_with_the_schedule_is_named(tmp_path: pathlib.Path) -> None:
    where = written(tmp_path / "tables", flowers())
    (where / "2024-01.csv").rename(where / "2024-01-02.csv")
    for schedule in ("monthly", "not a cron expression"):
        with pytest.raises(RecordError, match="the partition of 2024-01-02 does not go with the schedule"):
            table.read(where, schedule)


@pytest.mark.parametrize(
    ("cells_", "kind", "treatment", "why"),
    [
        (["1.5", "-2.5", "", "7"] * 10, "FLOAT", "Standardized", ""),
        ([str(10**n) for n in range(8)] * 5, "INT", "Scaled", ""),
        (["-1", "2", "3"] * 10, "FLOAT", "Standardized", ""),
        (["1", "2", "3"] * 10, "INT", "Numbered", ""),
        ([str(n) for n in range(40)], "INT", "", "it counts the rows"),
        (["red", "blue", ""] * 10, "BYTES", "Vocabulary", ""),
        ([f"name {n}" for n in range(40)], "BYTES", "", "nearly every row has a word of its own"),
        (["2024-01-01", "2024-01-02"] * 20, "BYTES", "", "it is a date"),
        ([f"{n}.5" for n in range(40)] + ["NA"], "BYTES", "", "were it not for 'NA'"),
        (["1e300", "2"] * 10, "BYTES", "Vocabulary", ""),
        (["", ""] * 10, "FLOAT", "", "the same in every row"),
    ],
)
def test_a_column_is_taken_for_what_it_holds(cells_: list[str], kind: str, treatment: str, why: str) -> None:
    import pyarrow as pa

    column = look("some", pa.chunked_array([[cell.encode() for cell in cells_]], pa.binary()))
    assert (column.kind, column.treatment.split("(")[0]) == (kind, treatment)
    assert why in column.why


@pytest.mark.parametrize(
    ("positive", "asked", "values", "kind"),
    [
        (int, "", (0, 1), "INT"),
        (int, "0", (1, 0), "INT"),
        (lambda target: 2 * target - 1, "", ("-1", "1"), "BYTES"),
        (lambda target: float(target), "", ("0.0", "1.0"), "BYTES"),
        (lambda target: ("yes", "no")[target], "", ("no", "yes"), "BYTES"),
        (lambda target: ("malignant", "benign")[target], "malignant", ("benign", "malignant"), "BYTES"),
    ],
)
def test_a_label_of_two_values_may_be_numbers_or_words(
    tmp_path: pathlib.Path, positive: Callable[[int], object], asked: str, values: tuple[object, ...], kind: str
) -> None:
    _, label = table.read(written(tmp_path / "tables", samples(positive))).labelled("target", asked, ())
    assert (label.values, label.kind) == (values, kind)
    with pytest.raises(RecordError, match="expected one of the values of 'target'"):
        table.read(tmp_path / "tables").labelled("target", "perhaps", ())


def test_classes_get_a_score_each_and_limits_between_guessing_and_a_plain_model(tmp_path: pathlib.Path) -> None:
    from waybill.scaffold import inferred, limits, measured, render
    from waybill.scaffold.plan import Plan

    found, label = table.read(written(tmp_path / "tables", flowers())).labelled("kind", "", ["petal_width_cm"])
    others = [column for column in found.columns if column.name != "kind"]
    schema = inferred.schema_of(found.columns, found.parts, "kind")
    seen = measured.measure(found.parts, others, label, schema)
    derived = limits.derive(seen, others, label)
    texts = render.files(Plan("flowers", found.schedule, found.parts, found.columns, label, schema, seen, derived))
    assert label == Classes("kind", "BYTES", ("setosa", "versicolor", "virginica"), (50, 50, 50))
    assert seen.commonest < derived.accuracy < seen.accuracy
    assert sum(map(sum, seen.splits)) == 150
    assert 'LEFT_OUT = (\n    "petal_width_cm",  # it was to be left out\n)' in texts["pipelines/flowers/features.py"]
    assert 'SLICES = ("kind", "span")' in texts["pipelines/flowers/policy.py"]
    assert 'value: "versicolor"' in texts["schemas/flowers.pbtxt"]
    for name, text in texts.items():
        if name.endswith(".py"):
            compile(text, name, "exec")


def test_odd_names_land_as_names_that_a_model_can_be_asked_by_and_everything_below_stays_as_it_was(tmp_path: pathlib.Path) -> None:
    from waybill.launch.partitions import LandingArea
    from waybill.scaffold.landing import land

    where = tmp_path / "tables"
    written(where, [{"width (cm)": row["sepal_width_cm"], "kind": f'"{n}", and more'} for n, row in enumerate(flowers())])
    before = (where / "2024-01.csv").read_bytes().split(b"\n", 1)
    some = table.settings_for("some", "0 0 1 * *", "2024-01-01")
    [(interval, rows), *_] = land(cells.read(folder.partitions(where), rename=True), some, tmp_path / "landing")
    after = pathlib.Path(LandingArea(tmp_path / "landing", "some").partition(interval).path, "2024-01.csv").read_bytes().split(b"\n", 1)
    assert (before[0].strip(), after[0]) == (b"width (cm),kind", b"width_cm,kind")
    assert (before[1], rows) == (after[1], 50)


KILLED = """
import os, pathlib, sys
from waybill.scaffold import place
project, steps = pathlib.Path(sys.argv[1]), int(sys.argv[2])
rename = pathlib.Path.rename
def renamed(path, target):
    global steps
    steps -= 1
    if steps < 0:
        os._exit(9)
    return rename(path, target)
pathlib.Path.rename = renamed
with place.alone(project) as staging:
    place.write(staging, {f: "x" for f in ("schemas/some.pbtxt", "tests/test_some.py", "pipelines/some/a.py", "dags/some_dag.py")})
    place.put(staging, project, "some")
"""


@pytest.mark.parametrize("steps", range(5))
def test_a_process_that_is_killed_half_way_leaves_nothing_that_stops_the_next(tmp_path: pathlib.Path, steps: int) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas/other.pbtxt").write_text("another's")
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(steps)], cwd=PROJECT, check=False)
    there = [path for path in targets("some").values() if (tmp_path / path).exists()]
    assert (ended.returncode, len(there)) == ((9, steps) if steps < 4 else (0, 4))
    with place.alone(tmp_path):
        left = [path for path in targets("some").values() if (tmp_path / path).exists()]
    assert len(left) == (0 if steps < 4 else 4), "all of it or nothing"
    assert (tmp_path / "schemas/other.pbtxt").read_text() == "another's"
    assert not (tmp_path / ".new/staging").exists()


def test_what_somebody_has_changed_since_is_not_taken_back(tmp_path: pathlib.Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), "2"], cwd=PROJECT, check=False)
    (tmp_path / "schemas/some.pbtxt").write_text("curated")
    with place.alone(tmp_path):
        assert (tmp_path / "schemas/some.pbtxt").read_text() == "curated"
        with pytest.raises(RecordError, match="another `waybill new` is at work here"), place.alone(tmp_path):
            pass

"""What came of a long proof is written down as it was, part by part, and what failed can be run again."""

from __future__ import annotations

import pathlib
import re

from tools.prove import parts, table

PROJECT = pathlib.Path(__file__).parents[1]
REPORT = """<testsuites><testsuite>
<testcase classname="tests.test_kills" name="test_one[run-pusher-publish.sealed]" time="1.0"><failure message="no">no</failure></testcase>
<testcase classname="tests.test_kills" name="test_two" time="1.0"><error message="at teardown">no</error></testcase>
<testcase classname="tests.test_kills" name="test_two" time="1.0"/>
<testcase classname="tests.test_kills" name="test_three" time="1.0"><skipped message="no root"/></testcase>
</testsuite></testsuites>"""


def tried(name: str, **counts: int) -> parts.Tried:
    part = next(part for part in parts.PARTS if part.name == name)
    plain = {"tried": 7, "failed": (), "seconds": 1.6, "looks": 1234, "versions": 5678, "half_made": 0}
    return parts.Tried(part=part, **{**plain, **counts})


def test_every_test_of_the_long_proofs_belongs_to_a_part() -> None:
    named = [test for part in parts.PARTS for test in parts.named(part.tests)]
    assert len(named) == len(set(named))
    written = re.findall(r"^def (test_\w+)", (PROJECT / "tests/test_kills.py").read_text(), re.MULTILINE)
    assert {f"tests/test_kills.py::{name}" for name in written} == {
        name for name in named if "test_kills" in name and "airflow" not in name
    }


def test_a_failure_or_an_error_of_a_case_counts_and_what_was_skipped_was_not_tried(tmp_path: pathlib.Path) -> None:
    (tmp_path / "report").write_text(REPORT)
    ran, bad = parts._counted(tmp_path / "report")
    assert ran == 3
    assert bad == ["tests/test_kills.py::test_one[run-pusher-publish.sealed]", "tests/test_kills.py::test_two"]


def test_a_part_that_is_run_again_has_a_new_row_and_the_others_keep_theirs(tmp_path: pathlib.Path) -> None:
    document = tmp_path / "proof.md"
    document.write_text(f"before\n{table.BEGIN}\n{table.END}\nafter\n")
    table.write([tried("host", looks=0), tried("process")], document)
    table.write([tried("process", tried=9, failed=("again",), half_made=2)], document)
    text = document.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n")
    rows = {row.split("`")[1]: [cell.strip() for cell in row.split("|")[2:-2]] for row in text.splitlines() if row.startswith("| `")}
    assert rows == {"process": ["9", "1", "2", "1,234", "5,678", "2"], "host": ["7", "0", "2", "-", "-", "-"]}


def test_the_page_has_a_place_for_the_table() -> None:
    text = (PROJECT / "docs/proof.md").read_text()
    assert text.index(table.BEGIN) < text.index(table.END)

"""The journal of decisions after years of hours: appended to and read without a limit, in a time that grows no faster than it does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import postgres
import pytest
import sqlalchemy as sa
from harness import apart

from waybill.serving import state
from waybill.store import journal, reads
from waybill.store.connection import Store
from waybill.store.errors import Overtaken
from waybill.store.initialise import Types, initialise

DEEP = 40_000  # four and a half years of an hourly pipeline; SQLite binds 32,766 variables in a statement
FIRST = 20130101000000
SUBJECT = state.subject("hourly")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def deep(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with a promotion for each hour."""
    if request.param == "sqlite":
        yield promoted(f"sqlite:///{tmp_path_factory.mktemp('deep')}/mlmd.sqlite", DEEP)
    else:
        with postgres.server() as url:
            yield promoted(url, DEEP)


def promoted(url: str, hours: int) -> Store:
    """A store in which each of so many releases was promoted in its turn."""
    apart(lambda: initialise(Store(url), types()))
    with Store(url).writing() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO Execution (type_id, last_known_state, name, create_time_since_epoch, last_update_time_since_epoch) "
                "WITH RECURSIVE hour(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM hour WHERE n < :hours) "
                f"SELECT (SELECT id FROM Type WHERE name = '{journal.DECISION_TYPE}'), 3, '{SUBJECT}#' || n, n, n FROM hour"
            ),
            {"hours": hours},
        )
        says = {"number": "{n}", "version": f"{FIRST} + {{n}}", "stable": f"CASE {{n}} WHEN 1 THEN 0 ELSE {FIRST} - 1 + {{n}} END"}
        texts = {"subject": SUBJECT, "kind": state.PROMOTE, "who": "schedule", "why": "scheduled run", "run": "hourly.g1"}
        for column, values in (("int_value", says), ("string_value", {name: f"'{text}'" for name, text in texts.items()})):
            for name, value in values.items():
                said = f"SELECT id, '{name}', TRUE, {value.format(n='create_time_since_epoch')} FROM Execution"
                insert = f"INSERT INTO ExecutionProperty (execution_id, name, is_custom_property, {column}) {said}"
                connection.execute(sa.text(insert))
    return Store(url)


def types() -> Types:
    from ml_metadata.proto import metadata_store_pb2

    return Types([], [metadata_store_pb2.ExecutionType(name=journal.DECISION_TYPE)], [])


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def test_who_decides_on_what_is_not_the_last_entry_is_told_what_came_after_it(deep: Store) -> None:
    with pytest.raises(Overtaken, match=rf"{DEEP - 1}: promote by schedule; {DEEP}: promote by schedule"):
        journal.append(deep, SUBJECT, DEEP - 2, state.PIN, {"who": "os:ada"})
    with pytest.raises(Overtaken, match="none"):
        journal.append(deep, SUBJECT, DEEP + 70, state.PIN, {"who": "os:ada"})


def test_a_journal_of_years_is_read_appended_to_and_folded(deep: Store) -> None:
    before = state.read(deep, "hourly")
    assert (before.number, before.stable, before.previous) == (DEEP, FIRST + DEEP, FIRST + DEEP - 1)
    entry = journal.append(deep, SUBJECT, DEEP, state.ROLLBACK, {"version": FIRST + 7, "who": "os:ada", "why": "a test"})
    assert entry.number == DEEP + 1
    entries = journal.entries(deep, SUBJECT)
    assert [e.number for e in entries] == list(range(1, DEEP + 2))
    assert entries[-1].says == entry.says and entries[0].says["who"] == "schedule"
    now = state.read(deep, "hourly")
    assert (now.stable, now.pinned_by, now.before) == (FIRST + 7, DEEP + 1, tuple(range(FIRST + 1, FIRST + 7)))
    assert now == state.fold(entries) == state.read(deep, "hourly", before), "read whole, in full, or on from what was known"


def test_what_is_about_one_release_is_found_among_all(deep: Store) -> None:
    [one] = journal.entries(deep, SUBJECT, saying=("version", FIRST + 17_000))
    assert (one.number, one.kind, one.says["stable"]) == (17_000, state.PROMOTE, FIRST + 16_999)
    assert journal.entries(deep, SUBJECT, saying=("number", 17_000)) == [one]
    assert journal.entries(deep, state.subject("other"), saying=("version", FIRST + 17_000)) == []


def test_a_fold_takes_time_in_proportion_to_the_journal() -> None:
    def fold(decisions: int) -> float:
        entry = journal.Entry(SUBJECT, 1, state.PROMOTE, {"version": FIRST}, 0, 1)
        return min(seconds(lambda: state.fold(entry for _ in range(decisions))) for _ in range(3))

    assert fold(80_000) < 12 * fold(20_000), "four times as many; a quadratic fold took sixteen times as long"


def test_more_artifacts_than_a_statement_has_variables_are_read(deep: Store) -> None:
    assert reads.artifacts_by_id(deep, range(1, 35_000)) == {}

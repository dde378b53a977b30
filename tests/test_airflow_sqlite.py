"""Airflow's database on one machine: what made backfills fail and lose runs must not come back."""

from __future__ import annotations

import pathlib
import sqlite3
import threading

import pytest

from waybill.orchestration.sqlite import CONNECT_ARGUMENTS


@pytest.fixture
def database(tmp_path: pathlib.Path) -> pathlib.Path:
    file = tmp_path / "a.db"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE run (id INTEGER)")
    connection.close()
    return file


def write_in_a_savepoint_while_another_commits(first: sqlite3.Connection, other: sqlite3.Connection) -> int:
    """What Airflow does for each run of a backfill, with the scheduler's heartbeat in the worst moment."""
    first.cursor().execute("SAVEPOINT one")
    first.cursor().execute("SELECT * FROM run").fetchall()
    beat = threading.Thread(target=lambda: (other.execute("INSERT INTO run VALUES (1)"), other.commit()))
    beat.start()
    beat.join(0.5)
    first.cursor().execute("INSERT INTO run VALUES (2)")
    first.cursor().execute("RELEASE one")
    first.commit()
    beat.join()
    return int(first.execute("SELECT count(*) FROM run").fetchone()[0])


def test_a_savepoint_waits_for_its_turn_where_sqlite_alone_fails_at_once(database: pathlib.Path) -> None:
    other = sqlite3.connect(database, check_same_thread=False, timeout=10)
    plain = sqlite3.connect(database, timeout=10)
    ours = sqlite3.connect(database, **CONNECT_ARGUMENTS)
    with pytest.raises(sqlite3.OperationalError, match="database is locked"):
        write_in_a_savepoint_while_another_commits(plain, other)
    plain.rollback()
    assert write_in_a_savepoint_while_another_commits(ours, other) == 3
    for connection in (plain, ours, other):
        connection.close()


def test_a_rollback_undoes_what_the_savepoint_held(database: pathlib.Path) -> None:
    ours = sqlite3.connect(database, **CONNECT_ARGUMENTS)
    ours.cursor().execute("SAVEPOINT one")
    ours.cursor().execute("INSERT INTO run VALUES (2)")
    ours.cursor().execute("RELEASE one")
    ours.rollback()
    assert ours.execute("SELECT count(*) FROM run").fetchone() == (0,)
    ours.close()

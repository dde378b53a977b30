"""SQLite's connections -> connections on which Airflow's backfills are safe. For Airflow's database on one machine only.

Airflow creates a backfill's runs inside savepoints. Python's sqlite3 begins a transaction by itself before a change but not before a
savepoint, so that transaction begins as a reader; when the scheduler commits anything before its first change, SQLite answers *database is
locked* at once, without waiting (SQLITE_BUSY_SNAPSHOT, https://www.sqlite.org/isolation.html). Airflow then removes the runs that it had
meant to run again, and the scheduler ends over their absence. Beginning as a writer waits for its turn instead.
"""

from __future__ import annotations

import sqlite3
from typing import Any


class _Cursor(sqlite3.Cursor):
    def execute(self, sql: str, *parameters: Any) -> _Cursor:
        if sql.startswith("SAVEPOINT") and not self.connection.in_transaction:
            super().execute("BEGIN IMMEDIATE")
        super().execute(sql, *parameters)
        return self


class WriterConnection(sqlite3.Connection):
    """A connection whose savepoints are part of a transaction that may write."""

    def cursor(self, factory: Any = _Cursor) -> Any:
        """A cursor that begins the transaction of a savepoint as a writer."""
        return super().cursor(factory)


# Named by Airflow's setting [database] sql_alchemy_connect_args. The timeout is how long a writer waits for its turn, in seconds.
CONNECT_ARGUMENTS: dict[str, Any] = {"factory": WriterConnection, "timeout": 60}

"""A database URL -> SQLAlchemy for reading, MLMD's connection config for TFX."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from waybill.store.errors import NotInitialised, UnsupportedStore

_BUSY_SECONDS = 120  # MLMD's own writers were seen to hold SQLite for up to 13 s at 32 writers


class Store:
    """The MLMD database: SQLite for one machine, PostgreSQL for several.

    Args:
      url: `sqlite:////absolute/path` or `postgresql://user:password@host:port/database`.

    Raises:
      UnsupportedStore: for any other kind of URL.
    """

    def __init__(self, url: str):
        try:
            self.url = sa.make_url(url)
        except sa.exc.ArgumentError as error:
            raise UnsupportedStore(
                f"the store's URL cannot be read ({error}); expected sqlite:////path or postgresql://user@host/db"
            ) from None
        self.kind = self.url.get_backend_name()
        if self.kind == "sqlite" and self.url.database:
            options: dict[str, Any] = {"connect_args": {"timeout": _BUSY_SECONDS}}
            self._engine_url = self.url
        elif self.kind == "postgresql" and self.url.database:
            options = {}
            self._engine_url = self.url.set(drivername="postgresql+psycopg")
        else:
            raise UnsupportedStore(f"the store's URL is of kind {self.kind!r}; expected sqlite:////path or postgresql://user@host/db")
        # NullPool: no connection outlives its use, so a process may fork between uses.
        self._engine = sa.create_engine(self._engine_url, poolclass=sa.pool.NullPool, **options)

    @property
    def file(self) -> pathlib.Path | None:
        """SQLite's file; None for a server."""
        return pathlib.Path(self.url.database) if self.kind == "sqlite" and self.url.database else None

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection for queries.

        Raises:
          NotInitialised: if `waybill init` has not run on this database.
        """
        if self.file is not None and not self.file.is_file():
            raise NotInitialised(f"there is no store at {self.file}; make it once with: waybill init")
        with self._engine.connect() as connection:
            try:
                yield connection
            except sa.exc.DBAPIError as error:
                raise self._explained(error) from error

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that takes SQLite's write lock at its start, so that two of them take turns."""
        if self.file is not None and not self.file.is_file():
            raise NotInitialised(f"there is no store at {self.file}; make it once with: waybill init")
        with self._engine.connect() as connection:
            try:
                if self.kind == "sqlite":
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
                connection.commit()
            except (sa.exc.OperationalError, sa.exc.ProgrammingError) as error:
                raise self._explained(error) from error

    def engine(self) -> sa.Engine:
        """The engine itself, for making tables."""
        return self._engine

    def mlmd_config(self, *, create: bool = False) -> Any:
        """MLMD's connection config.

        Args:
          create: Whether opening may make SQLite's file and the tables.

        Returns:
          An `ml_metadata.proto.metadata_store_pb2.ConnectionConfig`.
        """
        from ml_metadata.proto import metadata_store_pb2

        config = metadata_store_pb2.ConnectionConfig()
        if self.kind == "sqlite":
            modes = metadata_store_pb2.SqliteMetadataSourceConfig
            config.sqlite.filename_uri = str(self.url.database)
            config.sqlite.connection_mode = modes.READWRITE_OPENCREATE if create else modes.READWRITE
            return config
        config.postgresql.host = self.url.host or "127.0.0.1"
        config.postgresql.port = str(self.url.port or 5432)
        config.postgresql.user = self.url.username or ""
        config.postgresql.password = str(self.url.password or "")
        config.postgresql.dbname = self.url.database or ""
        config.postgresql.skip_db_creation = True
        return config

    def _explained(self, error: sa.exc.DBAPIError) -> Exception:
        text = str(error.orig)
        if "no such table" in text or "does not exist" in text:
            return NotInitialised(f"the store at {self.url.render_as_string()} has no tables yet; make them once with: waybill init")
        return error

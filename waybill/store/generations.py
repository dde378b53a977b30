"""A ticket -> the generation of an interval it works in, numbered from 1 in the store.

Airflow's own counters are no identity: they start again with a rebuilt database, and a run that was deleted and made anew looks like
the first. So each *asking* carries a ticket (dag id, run id, clear number, the run's start), and the store gives each ticket one
generation, whoever asks first and however often.
"""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa

from waybill.store.connection import Store
from waybill.store.tables import generation as g


@dataclasses.dataclass(frozen=True)
class Generation:
    """One generation of an interval.

    Attributes:
      number: From 1.
      ticket: The asking it was made for.
      root: Digest of the first spec of its chain; empty until it is frozen.
      spec: Digest of its own spec; empty until it is frozen.
    """

    number: int
    ticket: str
    root: str
    spec: str


def allocate(store: Store, pipeline: str, span: int, ticket: str) -> Generation:
    """The generation of a ticket, made when there is none; the same for the same ticket ever after."""
    while True:
        try:
            with store.writing() as connection:
                known = connection.execute(_rows(pipeline, span).where(g.c.ticket == ticket)).first()
                if known:
                    return _generation(known)
                newest = connection.execute(
                    sa.select(sa.func.coalesce(sa.func.max(g.c.generation), 0)).where(g.c.pipeline == pipeline, g.c.span == span)
                ).scalar_one()
                connection.execute(sa.insert(g).values(pipeline=pipeline, span=span, generation=newest + 1, ticket=ticket))
                return Generation(newest + 1, ticket, "", "")
        except sa.exc.IntegrityError:
            continue  # another process took the number; read again


def find(store: Store, pipeline: str, span: int, ticket: str) -> Generation | None:
    """The generation of a ticket, or None when it has none yet."""
    with store.reading() as connection:
        row = connection.execute(_rows(pipeline, span).where(g.c.ticket == ticket)).first()
        return _generation(row) if row else None


def settle(store: Store, pipeline: str, span: int, number: int, *, root: str, spec: str) -> Generation:
    """Records a generation's spec unless it has one; returns what is recorded, so that the first to freeze wins."""
    with store.writing() as connection:
        mine = sa.and_(g.c.pipeline == pipeline, g.c.span == span, g.c.generation == number)
        connection.execute(sa.update(g).where(mine, g.c.spec.is_(None)).values(root=root, spec=spec))
        return _generation(connection.execute(_rows(pipeline, span).where(g.c.generation == number)).one())


def chain(store: Store, pipeline: str, span: int, root: str) -> list[Generation]:
    """All frozen generations that began with one spec, oldest first."""
    with store.reading() as connection:
        rows = connection.execute(_rows(pipeline, span).where(g.c.root == root).order_by(g.c.generation))
        return [_generation(row) for row in rows]


def all_of(store: Store, pipeline: str, span: int) -> list[Generation]:
    """All generations of an interval, oldest first, frozen or not."""
    with store.reading() as connection:
        return [_generation(row) for row in connection.execute(_rows(pipeline, span).order_by(g.c.generation))]


def frozen_between(store: Store, pipeline: str, after: tuple[int, int], before: int) -> list[str]:
    """Digests of the specs of earlier intervals, oldest first.

    Args:
      store: The MLMD database.
      pipeline: Name of the pipeline.
      after: Span and generation that they come after.
      before: Span before which they lie.
    """
    span, number = after
    later = sa.or_(g.c.span > span, sa.and_(g.c.span == span, g.c.generation > number))
    mine = sa.select(g.c.spec).where(g.c.pipeline == pipeline, g.c.spec.is_not(None), g.c.span < before, later)
    with store.reading() as connection:
        return list(connection.execute(mine.order_by(g.c.span, g.c.generation)).scalars())


def all_frozen(store: Store, pipeline: str) -> list[str]:
    """Digests of all specs of a pipeline, oldest interval first."""
    mine = sa.select(g.c.spec).where(g.c.pipeline == pipeline, g.c.spec.is_not(None)).order_by(g.c.span, g.c.generation)
    with store.reading() as connection:
        return list(connection.execute(mine).scalars())


def every_frozen(store: Store) -> list[str]:
    """Digests of all specs of all pipelines."""
    with store.reading() as connection:
        return list(connection.execute(sa.select(g.c.spec).where(g.c.spec.is_not(None))).scalars())


def of_spec(store: Store, pipeline: str, span: int, spec: str) -> Generation | None:
    """The generation that a spec was frozen for."""
    with store.reading() as connection:
        row = connection.execute(_rows(pipeline, span).where(g.c.spec == spec)).first()
        return _generation(row) if row else None


def _rows(pipeline: str, span: int) -> sa.Select[tuple[int, str, str, str]]:
    return sa.select(g.c.generation, g.c.ticket, g.c.root, g.c.spec).where(g.c.pipeline == pipeline, g.c.span == span)


def _generation(row: sa.Row[tuple[int, str, str, str]]) -> Generation:
    return Generation(row.generation, row.ticket, row.root or "", row.spec or "")

"""The store under many processes at once: made once, numbered without gaps, on SQLite and on PostgreSQL."""

from __future__ import annotations

import multiprocessing
import pathlib
from collections.abc import Iterator
from typing import Any

import postgres
import pytest
from harness import apart

from waybill.store import generations
from waybill.store.connection import Store
from waybill.store.errors import NotInitialised, UnsupportedStore
from waybill.store.initialise import Types, initialise

CLIENTS = 16


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    with postgres.server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> str:
    return f"sqlite:///{tmp_path}/mlmd.sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


def some_types() -> Types:
    from ml_metadata.proto import metadata_store_pb2 as pb

    kinds = (pb.ArtifactType, pb.ExecutionType, pb.ContextType)
    made = [[kind(name=f"{kind.__name__}{i}", properties={"p": pb.STRING}) for i in range(3)] for kind in kinds]
    return Types(*made)


def at_once(count: int, work: Any) -> list[Any]:
    with multiprocessing.get_context("fork").Pool(count) as pool:
        return pool.map(work, range(count))


def counts(url: str) -> dict[str, int]:
    with Store(url).reading() as connection:
        rows = connection.exec_driver_sql("SELECT name, count(*) FROM Type WHERE name LIKE '%%Type_' GROUP BY name").all()
    return dict(tuple(row) for row in rows)


class Initialise:
    def __init__(self, url: str):
        self.url = url

    def __call__(self, _: int) -> str:
        initialise(Store(self.url), some_types())
        return "made"


class Allocate:
    def __init__(self, url: str, tickets: int):
        self.url, self.tickets = url, tickets

    def __call__(self, number: int) -> tuple[str, int]:
        ticket = f"ticket-{number % self.tickets}"
        return ticket, generations.allocate(Store(self.url), "taxi", 201301010000, ticket).number


def test_a_cold_store_made_by_many_at_once_has_each_type_once(url: str) -> None:
    assert at_once(CLIENTS, Initialise(url)) == ["made"] * CLIENTS
    assert set(counts(url).values()) == {1} and len(counts(url)) == 9


def test_generations_are_numbered_without_gaps_and_the_same_ticket_gets_the_same_number(url: str) -> None:
    apart(lambda: initialise(Store(url), some_types()))
    handed_out = at_once(CLIENTS, Allocate(url, tickets=5))
    by_ticket: dict[str, set[int]] = {}
    for ticket, number in handed_out:
        by_ticket.setdefault(ticket, set()).add(number)
    assert all(len(numbers) == 1 for numbers in by_ticket.values())
    assert sorted(n for numbers in by_ticket.values() for n in numbers) == [1, 2, 3, 4, 5]


def test_the_first_spec_of_a_generation_wins(tmp_path: pathlib.Path) -> None:
    url = f"sqlite:///{tmp_path}/mlmd.sqlite"
    apart(lambda: initialise(Store(url), some_types()))
    store = Store(url)
    number = generations.allocate(store, "taxi", 1, "t").number
    first = generations.settle(store, "taxi", 1, number, root="sha256:a", spec="sha256:a")
    second = generations.settle(store, "taxi", 1, number, root="sha256:b", spec="sha256:b")
    assert first.spec == second.spec == "sha256:a"


def test_a_store_that_nobody_made_says_how_to_make_it(tmp_path: pathlib.Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/absent.sqlite")
    with pytest.raises(NotInitialised, match="waybill init"), store.reading():
        pass
    assert not (tmp_path / "absent.sqlite").exists()


@pytest.mark.parametrize("url", ["mysql://host/db", "not a url", "sqlite://"])
def test_a_store_that_mlmd_does_not_speak_is_refused(url: str) -> None:
    with pytest.raises(UnsupportedStore, match="expected sqlite"):
        Store(url)

"""The model server beside Airflow: two that start at once, one that ended, and one that starts before anything is promoted."""

from __future__ import annotations

import http.client
import json
import os
import pathlib
import signal
import time
from collections.abc import Iterator

import pytest

from waybill.cli import marked, model_server, ports
from waybill.cli.airflow_environment import MARK
from waybill.cli.components import Components, ServiceError
from waybill.cli.model_server import SERVER, ModelServer
from waybill.cli.serve_address import Address
from waybill.cli.service_record import Record
from waybill.client.rest import RestClient
from waybill.records import settings


@pytest.fixture
def marks(tmp_path: pathlib.Path) -> Iterator[list[str]]:
    """Marks of the servers of a test, which end with it."""
    given = [f"{tmp_path.name}-{os.getpid()}-{number}" for number in range(2)]
    yield given
    for mark in given:
        marked.end(MARK, mark, 8)


class Here:
    """A model server in a home of its own."""

    def __init__(self, home: pathlib.Path, mark: str):
        (home / "airflow").mkdir(parents=True)
        self.mark = mark
        self.server = ModelServer(
            settings.load({"WAYBILL_HOME": str(home)}), Components(home / "airflow"), home / "airflow" / "model-server.json"
        )

    def start(self) -> None:
        self.record = Record(self.mark, 0, {SERVER: self.server.spawn(self.mark)})

    def address(self) -> Address:
        return self.server.await_address(lambda: self.record)


def test_two_that_start_at_once_answer_at_different_ports_and_one_that_was_killed_is_back_at_its_own(
    tmp_path: pathlib.Path, marks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ports.kept(0) as rest, ports.kept(0) as grpc:
        monkeypatch.setattr(model_server, "_PORTS", (rest, grpc))
    both = [Here(tmp_path / name, mark) for name, mark in zip(("one", "other"), marks, strict=True)]
    for here in both:
        here.start()
    first, second = (here.address() for here in both)

    assert not set(first.ports) & set(second.ports)
    assert (rest, grpc) in (first.ports, second.ports)
    for address in (first, second):
        assert RestClient(address.rest).states("orders") == {}, "it answers though nothing is promoted yet"
        assert page(address).startswith(b"<!DOCTYPE html>")

    os.kill(second.pid, signal.SIGKILL)
    until_ended(both[1].record)
    assert both[1].server.address(both[1].record) is None
    both[1].start()
    again = both[1].address()
    assert (again.ports, again.pid != second.pid) == (second.ports, True)


def test_one_that_ends_while_it_starts_says_why(tmp_path: pathlib.Path, marks: list[str]) -> None:
    here = Here(tmp_path / "one", marks[0])
    (tmp_path / "one" / "serving").mkdir()
    (tmp_path / "one" / "serving" / "models.config").write_text("nonsense {")
    here.start()
    with pytest.raises(ServiceError, match="ended while starting:(.|\n)*Error parsing text-format"):
        here.address()
    here.record = Record(marks[0], 0)
    with pytest.raises(ServiceError, match="no model server runs here"):
        here.address()


def page(address: Address) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", address.ports[0], timeout=60)
    connection.request("GET", "/")
    with connection.getresponse() as response:
        found = response.read()
    connection.close()
    return found


def until_ended(record: Record) -> None:
    deadline = time.monotonic() + 30
    while not record.dead():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_address_is_that_of_the_process_on_record(tmp_path: pathlib.Path) -> None:
    here = Here(tmp_path / "one", "mark")
    me = (os.getpid(), marked.started(os.getpid()))
    file = tmp_path / "one" / "airflow" / "model-server.json"
    file.write_text(json.dumps({"pid": os.getpid(), "rest": "http://127.0.0.1:8501", "grpc": "127.0.0.1:8500"}))
    found = here.server.address(Record("mark", 0, {SERVER: me}))
    assert found is not None and found.ports == (8501, 8500)
    assert here.server.address(Record("mark", 0, {SERVER: (1, me[1])})) is None
    assert here.server.address(Record("mark", 0, {"host": me})) is None
    assert here.server.address(None) is None
    here.server.forget()
    assert not file.exists()

"""Parameters that do not go together are refused before anything starts, with what to do."""

from __future__ import annotations

import dataclasses

import pytest

from waybill.records.distribution import PARAMS, Distribution
from waybill.records.errors import RecordError

DEFAULTS = {param.name: param.default for param in PARAMS}


def test_a_run_that_says_nothing_trains_in_one_process() -> None:
    found = Distribution.of(DEFAULTS)
    assert found == Distribution.of({}) == Distribution()
    assert (found.strategy, found.places, found.global_batch) == ("none", (), 64)


@pytest.mark.parametrize(
    ("params", "replicas", "rows"),
    [
        ({"strategy": "mirrored", "devices": 4, "batch_size": 16}, 4, 64),
        ({"strategy": "multi_worker", "workers": 3, "batch_size": 10}, 3, 30),
        ({"strategy": "multi_worker", "workers": 2, "devices": 4, "batch_size": 8}, 8, 64),
        ({"strategy": "parameter_server", "workers": 8, "servers": 2, "batch_size": 32}, 1, 32),
    ],
)
def test_a_step_learns_from_the_rows_of_all_devices(params: dict[str, object], replicas: int, rows: int) -> None:
    found = Distribution.of({**DEFAULTS, **params})
    assert (found.replicas, found.global_batch) == (replicas, rows)


@pytest.mark.parametrize(
    ("spread", "times"),
    [
        (Distribution(), 1),
        (Distribution("mirrored", devices=4), 4),
        (Distribution("multi_worker", workers=2, devices=4), 8),
        (Distribution("parameter_server", workers=8, servers=2), 1),
    ],
)
def test_the_learning_rate_grows_with_the_devices_that_train_together_where_that_is_asked_for(spread: Distribution, times: int) -> None:
    assert spread.rate(0.25) == 0.25
    assert dataclasses.replace(spread, scale_learning_rate=True).rate(0.25) == 0.25 * times


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"strategy": "horovod"}, r"'horovod'; expected one of none, mirrored, multi_worker, parameter_server"),
        ({"strategy": "multi_worker", "workers": 0}, r"workers is 0; expected 1 or more"),
        ({"workers": 2}, r"none with workers 2; expected 1 worker, or strategy multi_worker or parameter_server"),
        ({"strategy": "mirrored", "devices": 2, "workers": 2}, r"mirrored with workers 2; expected 1 worker"),
        ({"strategy": "parameter_server", "workers": 2}, r"parameter_server with servers 0; expected 1 server or more"),
        ({"strategy": "multi_worker", "workers": 2, "servers": 1}, r"multi_worker with servers 1; expected 0 servers"),
        ({"strategy": "parameter_server", "servers": 1, "devices": 2}, r"parameter_server with devices 2; expected 1 device"),
        ({"strategy": "multi_worker", "workers": 2, "xla": True}, r"multi_worker with xla; expected none"),
        ({"strategy": "mirrored"}, r"mirrored with devices 1; expected 2 devices or more"),
        ({"devices": 2}, r"none with devices 2; expected 1 device, or strategy mirrored"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(params: dict[str, object], says: str) -> None:
    with pytest.raises(RecordError, match=says):
        Distribution.of({**DEFAULTS, **params})


def test_more_devices_than_rows_are_refused() -> None:
    spread = Distribution("multi_worker", 8)
    spread.check_rows(8)
    with pytest.raises(RecordError, match="8 devices would share 7 rows"):
        spread.check_rows(7)


def test_servers_share_no_rows_and_workers_do() -> None:
    served = Distribution("parameter_server", workers=4, servers=8)
    served.check_rows(4)
    with pytest.raises(RecordError, match="4 devices would share 3 rows"):
        served.check_rows(3)
    assert [str(place) for place in served.places][:6] == ["chief", "worker 0", "worker 1", "worker 2", "worker 3", "server 0"]

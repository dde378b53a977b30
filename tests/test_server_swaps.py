"""Versions come and go under load: no request fails, every answer is a version's, and the old answer is back at once."""

from __future__ import annotations

from bench import serving


def test_hot_swaps_and_rollbacks_under_a_stream_of_requests() -> None:
    found = serving.measure(swaps=12, rollbacks=6)
    assert found.failed == ()
    assert found.wrong == ()
    assert (len(found.swaps), len(found.rollbacks)) == (12, 6)
    assert found.requests > 100
    assert max(found.rollbacks) < 5.0, "a promise in seconds, which is fifty times what it takes"

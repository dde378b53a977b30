"""A node's end that a person should know of -> a notice in the log, and through the one of Airflow's notifiers that the settings name."""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseNotifier

from waybill.orchestration.outcome import NodeEnded
from waybill.records import settings
from waybill.records.node import Outcome
from waybill.records.settings import Notifier

HELD, WAITING = "held", "approval waiting"
_FAILED = "failed"
_EVENTS = {Outcome.BLOCKED: "blocked", Outcome.LATE: "late"}
_LONGEST = 2000  # characters of what happened
_log = logging.getLogger("airflow.task")


class Notice(BaseNotifier):
    """Tells of one task's end; goes where a callback of a task goes.

    Args:
      event: What happened; empty to see it from the exception that ended the task.
      says: What happened, in words; empty to take the exception's.
    """

    def __init__(self, event: str = "", says: str = "") -> None:
        super().__init__()
        self._event = event
        self._says = says

    def notify(self, context: Any) -> None:
        """Sends it, if the settings ask for notices of such an event; that it cannot be sent is logged and changes nothing else."""
        where = settings.load()
        event, says = self._event or event_of(context.get("exception")), self._says or str(context.get("exception") or "")
        if event not in where.notify:
            return
        words = words_of(event, says, context)
        _log.info("NOTICE %s", words["text"])
        if where.notifier is not None:
            try:
                built(where.notifier, words)(context)
            except Exception:  # noqa: BLE001 - a notifier of others may raise anything
                _log.exception("the notice could not be sent through %s", where.notifier.path)


def event_of(exception: Any) -> str:
    """What happened, by the exception that ended a task: `blocked`, `late` or `failed`."""
    outcome = exception.outcome if isinstance(exception, NodeEnded) else None
    return _EVENTS.get(outcome, _FAILED) if outcome else _FAILED


def words_of(event: str, says: str, context: Mapping[str, Any]) -> dict[str, str]:
    """The words that a notifier's arguments may use: `event`, `dag`, `run`, `task`, `says`, `url`, and `text` with all of them."""
    ti, url = context["ti"], str(context["ti"].log_url)
    if event == WAITING:
        url = f"{url.partition('?')[0]}/required_actions"  # where the answer is given, beside the log
    words = {"event": event, "dag": ti.dag_id, "run": ti.run_id, "task": ti.task_id, "says": says[:_LONGEST], "url": url}
    text = f"{event}: {words['task']} of {words['dag']}, {words['run']}: {words['says']} ({words['url']})"
    return {name: inert(word) for name, word in {**words, "text": text}.items()}


def inert(text: str) -> str:
    """A text in which Jinja sees no template: notifiers render their arguments, and what data hold may look like one."""
    return re.sub(r"\{(?=[{%#])", "{ ", text)


def built(notifier: Notifier, words: Mapping[str, str]) -> Any:
    """The notifier that the settings name, its arguments filled in."""
    module, _, name = notifier.path.rpartition(".")
    kind = getattr(importlib.import_module(module), name)
    return kind(**{key: _filled(value, words) for key, value in notifier.arguments.items()})


def _filled(value: Any, words: Mapping[str, str]) -> Any:
    if not isinstance(value, str):
        return value
    for name, word in words.items():
        value = value.replace(f"<{name}>", word)
    return value

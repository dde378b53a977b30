"""A gate that cannot judge -> a sentence that says what is missing and what to do."""

from __future__ import annotations

from waybill.records.errors import Refusal


class GateError(Refusal):
    """A gate could not come to a verdict, and would not on another attempt."""


class PolicyError(GateError, ValueError):
    """A policy says something that cannot be applied."""


class EvidenceError(GateError):
    """What a gate must look at is missing, damaged or about something else, so nothing can be said of the data or the model."""

"""A gate that cannot judge -> a sentence that says what is missing and what to do."""

from __future__ import annotations


class GateError(Exception):
    """A gate could not come to a verdict."""


class PolicyError(GateError, ValueError):
    """A policy says something that cannot be applied."""


class EvidenceError(GateError):
    """What a gate must look at is missing, damaged or about something else, so nothing can be said of the data or the model."""


class VerdictFileError(GateError):
    """`verdict.json` is missing or damaged; a verdict that cannot be read counts for nothing."""

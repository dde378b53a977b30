"""A release that cannot be published or loaded -> a sentence that says why."""

from __future__ import annotations

from waybill.records.errors import Refusal


class ServingError(Exception):
    """Publishing or loading a release did not work; nothing half-made is visible."""


class UnsafeRelease(ServingError, Refusal):
    """What should be published is not a folder of plain files, or its name is not a version."""


class DigestMismatch(ServingError, Refusal):
    """The bytes to publish are not the bytes that were judged.

    Attributes:
      expected: Digest that was judged.
      found: Digest of the bytes on disk.
    """

    def __init__(self, what: str, expected: str, found: str) -> None:
        super().__init__(f"{what} has digest {found}, expected {expected}: its bytes changed, so what was judged is not what is here")
        self.expected = expected
        self.found = found


class VersionTaken(ServingError, Refusal):
    """Another release already bears that version number.

    Attributes:
      version: The number.
      found: Digest of the release that has it.
      given: Digest of the one that should have got it.
    """

    def __init__(self, path: str, version: int, found: str, given: str) -> None:
        super().__init__(
            f"version {version} at {path!r} is another release: it has digest {found}, this one {given}; "
            "a version is never reused, so make a new generation of the interval"
        )
        self.version = version
        self.found = found
        self.given = given


class DecisionRefused(ServingError, Refusal):
    """What a person decided does not fit what was decided before; nothing is recorded."""


class OwnRequest(DecisionRefused):
    """Somebody agrees to what they have asked for themselves; the request stays open for another person."""


class RequestVoid(DecisionRefused):
    """A request was answered before, or something else has been served since it was made."""


class NoSuchRelease(ServingError, Refusal):
    """No release of that version is on record.

    Attributes:
      version: The version that was asked for.
      newest: The newest versions there are.
    """

    def __init__(self, model: str, version: int, newest: tuple[int, ...]) -> None:
        there = f"the newest are {', '.join(map(str, newest))}" if newest else "it has none yet"
        super().__init__(f"{model} has no release {version}; {there}. `waybill releases {model}` shows all")
        self.version = version
        self.newest = newest


class ReleaseRefused(ServingError, Refusal):
    """The evidence does not allow the release.

    Attributes:
      reasons: What is missing or says no, one sentence each.
    """

    def __init__(self, name: str, version: int, reasons: tuple[str, ...]) -> None:
        super().__init__(f"release {version} of {name} is refused:\n" + "\n".join(f"  - {reason}" for reason in reasons))
        self.reasons = reasons


class LabelStays(ServingError):
    """The server does not answer with a version that it was decided to serve, so that its label was left where it was.

    Attributes:
      old: The version that bears the label.
      new: The one that should.
    """

    def __init__(self, model: str, old: int, new: int, why: str) -> None:
        super().__init__(
            f"label stable of {model} stays at {old} and was to move to {new}: {why}. It is decided all the same: when the server is well, "
            "`waybill doctor --repair` moves it; without WAYBILL_SERVER no server is asked and no labels are written"
        )
        self.old = old
        self.new = new


class UnreadableModel(ServingError, Refusal):
    """What should be a SavedModel is none, or is damaged."""


class ModelRefused(ServingError):
    """TensorFlow's C++ loader does not load a model, or a loaded one does not answer.

    Attributes:
      code: TensorFlow's name of the error, such as `NOT_FOUND`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class CannotFork(ServingError):
    """A model cannot be tried from this process."""


class BadWarmup(ServingError):
    """A model's warm-up requests are such that TensorFlow Serving would not load it."""

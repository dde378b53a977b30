"""Why a node could not be launched, one class each."""

from waybill.records.errors import Refusal


class LaunchError(Exception):
    """A node or run cannot go on; the message says what, why and what to do."""


class SpecMissing(LaunchError):
    """No run spec of that digest was frozen here, or its file is damaged."""


class SpecMismatch(LaunchError):
    """The code or the environment is not the one the run was frozen with."""


class GateClosed(LaunchError):
    """A gate before the node has no PASS on record."""


class InputsUnresolved(LaunchError):
    """An input artifact that the node needs is not on record, or is not what it was stamped with."""


class ChainBroken(LaunchError):
    """MLMD does not show the inputs that the node was given."""


class DamagedRecords(LaunchError, Refusal):
    """A file of TFRecords is cut off or its checksums do not match."""

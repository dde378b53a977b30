"""Why no pipeline can be written from what was given."""

from __future__ import annotations

from waybill.records.errors import RecordError


class NameUnfit(RecordError):
    """The name cannot be a pipeline's."""


class Occupied(RecordError):
    """Something of that name is there already."""


class FolderUnfit(RecordError):
    """The folder holds no partitions, or some that cannot be read or told apart."""


class ColumnsUnfit(RecordError):
    """The table's columns cannot be named or learned from."""


class LabelUnfit(RecordError):
    """The label is not among the columns, or is nothing that can be told apart."""

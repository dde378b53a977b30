"""A value that breaks a record's rules -> a sentence that says which."""


class RecordError(ValueError):
    """A record was given something it cannot hold; the message says what, what was expected, and what to do."""


class Refusal(Exception):
    """A node declines for a good reason that another attempt would not change; the message says which, and what to do."""


class VerdictFileError(Refusal):
    """`verdict.json` is missing or damaged; a verdict that cannot be read counts for nothing."""


class WaiverRefused(Refusal):
    """What is asked of a waiver cannot be; nothing is recorded."""

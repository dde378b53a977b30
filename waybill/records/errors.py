"""A value that breaks a record's rules -> a sentence that says which."""


class RecordError(ValueError):
    """A record was given something it cannot hold; the message says what, what was expected, and what to do."""

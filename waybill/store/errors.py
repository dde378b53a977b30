"""What can be wrong with the store, one class each."""


class StoreError(Exception):
    """The store cannot do what was asked; the message says why and what to do."""


class NotInitialised(StoreError):
    """The database has no MLMD tables or types yet."""


class UnsupportedStore(StoreError):
    """The URL names a database that MLMD 1.21 does not speak."""


class Overtaken(StoreError):
    """Another decision on the same subject was recorded first."""

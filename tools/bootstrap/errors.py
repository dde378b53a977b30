"""What set-up cannot mend by itself, said so that a person can."""


class SetupError(Exception):
    """Set-up cannot go on; the message says what was found, what is needed and what to do."""

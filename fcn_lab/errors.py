"""The exceptions a user meets."""


class UserError(ValueError):
    """A user's mistake: one or two lines that say what was wrong, what was expected, what to type.

    The entry layer prints it without a traceback and ends with exit status 2.
    """


class SweepFailed(Exception):
    """At least one cell did not get done; the last lines of the output have said which."""

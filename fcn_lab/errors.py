"""The one exception a user is meant to read."""


class UserError(Exception):
    """A user's mistake: one or two lines that say what was wrong, what was expected, what to type.

    The entry layer prints it without a traceback and ends with exit status 2.
    """

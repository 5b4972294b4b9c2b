"""The errors that reading digits can raise."""


class DigitDataError(ValueError):
    """Digit data is missing or not in the expected format.

    The message names the file, line and column, what was found, what was expected and
    what to do.
    """


class SealedLabelsUnavailable(RuntimeError):
    """The labels of these test images are not known here."""

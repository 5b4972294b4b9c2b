"""The errors that reading digits can raise."""

DOWNLOAD_ADVICE = (
    "download digit-recognizer.zip from the Data page of Kaggle's Digit Recognizer again"
)


class DigitDataError(ValueError):
    """Digit data is missing or not in the expected format.

    The message names the file, line and column, what was found, what was expected and
    what to do.
    """


class SealedLabelsUnavailable(RuntimeError):
    """The labels of these test images are not known here."""

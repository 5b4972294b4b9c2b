"""The errors that reading digits can raise."""

DOWNLOAD_ADVICE = (
    "download digit-recognizer.zip from the Data page of Kaggle's Digit Recognizer again"
)


class DigitDataError(ValueError):
    """Digit data is missing or malformed; the message says what, where and how to mend it."""


class SealedLabelsUnavailable(RuntimeError):
    """The labels of these test images are not known here."""

"""Shared helpers of the digits book."""

__version__ = "0.1.0"

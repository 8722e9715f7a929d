"""What a click is, and where the next one falls."""

from seganypet.clicks.click import Click

__all__ = ["Click"]

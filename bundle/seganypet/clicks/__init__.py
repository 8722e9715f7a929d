"""What a click is, and where the next one falls."""

from seganypet.clicks.centre import centre_click
from seganypet.clicks.click import Click
from seganypet.clicks.drawing import draw_error_click, draw_first_click

__all__ = ["Click", "centre_click", "draw_error_click", "draw_first_click"]

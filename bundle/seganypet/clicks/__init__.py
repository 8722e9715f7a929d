"""What a click and the other prompts of a reader are, and where the next click falls."""

from seganypet.clicks.centre import centre_click
from seganypet.clicks.click import Click
from seganypet.clicks.drawing import draw_error_click, draw_first_click
from seganypet.clicks.prompts import Box, InitialMask, Lasso, Prompt, Scribble
from seganypet.clicks.voxel_set import VoxelSet

__all__ = [
    "Box",
    "Click",
    "InitialMask",
    "Lasso",
    "Prompt",
    "Scribble",
    "VoxelSet",
    "centre_click",
    "draw_error_click",
    "draw_first_click",
]

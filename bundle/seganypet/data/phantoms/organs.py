"""All organs of a procedural phantom, in the order in which they are painted."""

from __future__ import annotations

from collections.abc import Callable

from seganypet.data.phantoms.abdomen import paint_kidneys, paint_liver, paint_spleen, paint_stomach
from seganypet.data.phantoms.bowel import paint_bowel
from seganypet.data.phantoms.chest import paint_aorta, paint_heart, paint_lungs, paint_mediastinum
from seganypet.data.phantoms.head import paint_head
from seganypet.data.phantoms.painter import Ground, Painter
from seganypet.data.phantoms.pelvis import paint_pelvis

ORGANS: tuple[tuple[Callable[[Painter], None], tuple[str, ...]], ...] = (
    (paint_lungs, ("lung_upper_lobe_left",)),
    (paint_mediastinum, ("vessels",)),
    (paint_heart, ("heart",)),
    (paint_liver, ("liver",)),
    (paint_spleen, ("spleen",)),
    (paint_kidneys, ("kidney_right", "kidney_left")),
    (paint_stomach, ("stomach",)),
    (paint_pelvis, ("urinary_bladder",)),
    (paint_bowel, ("bowel",)),
    (paint_aorta, ("aorta",)),
    (paint_head, ("brain",)),
)
"""What paints organs, and the labels it stands for: what a label map must lack for it to be called on one."""


def paint_organs(body: Ground, suv: dict[str, float], *, known: frozenset[str] = frozenset()) -> None:
    """Paint the organs into a body, but those whose labels are `known` from elsewhere."""
    painter = Painter(body, suv)
    for paint, names in ORGANS:
        if not known.intersection(names):
            paint(painter)

"""Turns a released SegAnyPET or SAM-Med3D checkpoint into a model.pt that carries its settings.

    python scripts/convert_checkpoint.py seganypet_v1.pth model.pt
    python scripts/convert_checkpoint.py seganypet_v1.pth model.pt --spacing_mm 2 --nohalf

A released file holds the optimiser too and does not say what it was trained with. The result holds the weights alone,
in float16 unless told otherwise, and the settings below. A model.pt keeps its own settings where no flag names another.
"""

import sys
from dataclasses import replace
from pathlib import Path

from command import run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bundle"))

from seganypet.networks import load_network, save_network


def convert_checkpoint(
    checkpoint: str,
    output: str,
    spacing_mm: float | None = None,
    normalisation: str | None = None,
    placement: str | None = None,
    points: str | None = None,
    half: bool = True,
) -> None:
    """Writes a checkpoint's weights and settings as a model.pt.

    Args:
        checkpoint: a released .pth, or a model.pt.
        output: file to write.
        spacing_mm: isotropic voxel spacing that the weights were trained at; 1.5 for a released file.
        normalisation: "zscore" (released files) or "asinh_suv".
        placement: "click", windows centred on the first click (released files), or "grid".
        points: "accumulated", all clicks at every step (released files), or "newest".
        half: store parameters in float16; --nohalf keeps float32.
    """
    flags = {"spacing_mm": spacing_mm, "normalisation": normalisation, "placement": placement, "points": points}
    net = load_network(str(checkpoint))
    net.settings = settings = replace(net.settings, **{key: value for key, value in flags.items() if value is not None})
    save_network(net, str(output), half=half)
    print(f"{output}: {Path(str(output)).stat().st_size / 2**20:.1f} MiB, {settings}")


if __name__ == "__main__":
    run(convert_checkpoint)

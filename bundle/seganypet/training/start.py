"""What a run starts from: a network, and a cohort where it is given no data."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from seganypet.data import read_data_list, write_cohort
from seganypet.data.cohort_case import RECORD, Case
from seganypet.data.data_list import SECTIONS
from seganypet.networks import DEFAULT_SETTINGS, build_network, load_network, with_close_ups, with_rungs
from seganypet.networks.click_network import ClickNetwork

logger = logging.getLogger(__name__)
PHANTOM = re.compile(r"phantom_\d+")


def start_network(
    architecture: str = "compact",
    weights: str | Path | None = None,
    device: torch.device | str = "cpu",
    *,
    points: str | None = None,
    ladder: bool = True,
    drawn_masks: bool = False,
    close_ups: bool = False,
) -> ClickNetwork:
    """A network to train: new, or with the weights and settings of a file.

    Weights of before the ladder get the architecture's own finer rungs, to be trained on them.

    Args:
        architecture: "compact" or "vit_b"; must be the file's where there is one.
        weights: model.pt or a released .pth; None starts from random weights.
        device: where to train.
        points: "accumulated" or "newest" clicks for the decoder; None keeps the architecture's or the file's way.
        ladder: False trains without finer rungs.
        drawn_masks: whether it will be trained on drawings as mask prompts, so that it is asked with them.
        close_ups: whether it will be trained on close-ups, so that it is asked for them.

    Raises:
        ValueError: the file holds another architecture.
    """
    network = build_network(architecture) if weights is None else load_network(weights)
    if network.settings.architecture != architecture:
        raise ValueError(f"{weights} holds {network.settings.architecture}, the run trains {architecture}")
    finer = (network.settings.finer or DEFAULT_SETTINGS[architecture].finer) if ladder else ()
    if finer != network.settings.finer:
        network = with_rungs(network, finer)
    if drawn_masks:
        network.settings = replace(network.settings, drawn_masks=True)
    if close_ups and finer and not network.settings.close_ups:
        network = with_close_ups(network)
    if points is not None:
        network.settings = replace(network.settings, points=points)
    return network.to(device)


def phantom_cohort(folder: str | Path, count: int, *, validation: int, seed: int) -> Path:
    """The data list of a phantom cohort in `folder`, written where it is not there yet.

    A data list that lies there and names other scans, or phantoms of another seed or recipe, is somebody's own: it is
    taken as it is, and no phantom is made. Processes that start together wait for the first of them to write it.

    Args:
        folder: of the cohort.
        count: phantoms in all.
        validation: how many of them are for validation.
        seed: of the cohort.

    Raises:
        ValueError: somebody's own files lie in the folder, and no data list.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    own = Path(folder) / "data_list.json"
    with FileLock(Path(folder) / ".lock"):
        if own.is_file() and not _are_made_here(own, seed):
            logger.info("the data list %s is trained on as it is", own)
            return own
        theirs = sorted(file.name for file in Path(folder).iterdir() if not _is_of_a_cohort(file))
        if theirs and not own.is_file():
            raise ValueError(
                f"{folder} holds {', '.join(theirs[:3])} and no {own.name}: write one by scripts/prepare.py and name "
                "it by --data_lists, or name another --dataset_dir for phantoms"
            )
        return write_cohort(folder, count, seed, validation=validation)


def _is_of_a_cohort(file: Path) -> bool:
    """Whether `phantom_cohort` leaves such a file, killed before its list was written, or a desktop a hidden one."""
    return bool(PHANTOM.fullmatch(file.name)) or file.name.startswith(".")


def _are_made_here(data_list: Path, seed: int) -> bool:
    """Whether a list holds the phantoms that `write_cohort` makes of a seed, of however many and by older code."""
    found = read_data_list(data_list, check_files=False)
    folders = [entry.image.parent for section in SECTIONS for entry in found[section]]
    mine = _recipe(Case("", int(seed), 0, None, None, None, None).made_with())
    for folder in folders:
        if not PHANTOM.fullmatch(folder.name) or folder.resolve().parent != data_list.resolve().parent:
            return False
        try:
            made = json.loads((folder / RECORD).read_text())["made_with"]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # not finished: to be made
        if not isinstance(made, dict) or {**mine, **_recipe(made)} != mine:  # older code had fewer options
            return False
    return True


def _recipe(made_with: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in made_with.items() if key not in ("number", "generation")}

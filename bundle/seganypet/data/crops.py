"""Data list of a folder of real PET crops with tumour masks, as the IBSI soft-tissue-sarcoma set comes."""

from __future__ import annotations

from pathlib import Path

from seganypet.data.data_list import SECTIONS, Entry, write_data_list
from seganypet.data.json_file import read_json


def write_crop_list(folder: str | Path, path: str | Path, *, name: str = "tumour", quality: str = "high") -> Path:
    """Write the data list of a folder of `<case>_suv.nii.gz` and `<case>_gtv.nii.gz` with a `splits.json`.

    `splits.json` holds, for each section, the numbers that its cases' names end with: {"training": ["002"], ...}. A
    case is listed in its own section only, and a file that no section names is an error: nothing of a test patient can
    slip into training.

    Args:
        folder: of the crops.
        path: of the data list.
        name: label name of the masks' value 1.
        quality: of the masks.

    Raises:
        FileNotFoundError: no `splits.json`, or a case without its files.
        ValueError: cases in two sections, or in none.
    """
    folder = Path(folder)
    try:
        splits = read_json(folder / "splits.json")
    except FileNotFoundError:
        raise FileNotFoundError(f"no splits.json in {folder}: which crops are for training cannot be told") from None
    images = {image.name.removesuffix("_suv.nii.gz").rsplit("_", 1)[-1]: image for image in folder.glob("*_suv.nii.gz")}
    sections: dict[str, list[Entry]] = {section: [] for section in SECTIONS}
    seen: dict[str, str] = {}
    for section in SECTIONS:
        for case in splits.get(section, []):
            if case in seen:
                raise ValueError(f"case {case} of {folder / 'splits.json'} is in {seen[case]} and in {section}")
            seen[case] = section
            if case not in images:
                raise FileNotFoundError(f"{section} case {case}: no file *_{case}_suv.nii.gz in {folder}")
            mask = images[case].with_name(images[case].name.replace("_suv.nii.gz", "_gtv.nii.gz"))
            if not mask.is_file():
                raise FileNotFoundError(f"{section} case {case}: no mask {mask}")
            sections[section].append(Entry(images[case], mask, {1: name}, quality))
    left = sorted(set(images) - set(seen))
    if left:
        raise ValueError(f"{folder / 'splits.json'} puts these cases in no section: {', '.join(left)}")
    return write_data_list(path, sections)

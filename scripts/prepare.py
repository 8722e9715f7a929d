"""Write the data list of a cohort, after checking all of it.

    python scripts/prepare.py nnunet --folder Dataset001_PET --output runs/cohort
    python scripts/prepare.py nnunet --folder Dataset001_PET --splits splits_final.json --fold 0
    python scripts/prepare.py autopet --folder FDG-PET-CT-Lesions --output runs/cohort
    python scripts/prepare.py monai_label --folder studies --output runs/cohort
    python scripts/prepare.py dicom --folder dicom --output runs/cohort --structures GTV_Mass

Nothing is left out unasked: with a problem anywhere, the problems are printed and no list is written, unless
--leave_out_bad says to write it without the studies that have one.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from command import run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bundle"))

from seganypet.data.data_list import QUALITIES, write_data_list
from seganypet.data.json_file import read_json
from seganypet.data.preparation import (
    Found,
    Problem,
    check_studies,
    count_labels,
    find_autopet,
    find_dicom,
    find_monai_label,
    find_nnunet,
    split_studies,
)


class Prepare:
    """Write the data list of a cohort.

    Args:
        output: folder that gets data_list.json.
        validation_share: of the patients.
        test_share: of the patients.
        leave_out_bad: write the list without the studies that have a problem.
    """

    def __init__(
        self,
        output: str = "runs/cohort",
        validation_share: float = 0.2,
        test_share: float = 0.0,
        leave_out_bad: bool = False,
    ) -> None:
        self._output = Path(output)
        self._shares = {"validation_share": validation_share, "test_share": test_share}
        split_studies([], **self._shares)  # refuses shares that cannot be before a cohort is read
        self._leave_out_bad = leave_out_bad

    def nnunet(
        self,
        folder: str,
        channel: int | None = None,
        patient: str | None = None,
        quality: str = "high",
        splits: str | None = None,
        fold: int | None = None,
    ) -> None:
        """An nnU-Net dataset folder.

        Args:
            folder: that holds dataset.json.
            channel: which channel is the PET, where its name does not say.
            patient: regular expression for the patient in a case's name, "fdg_[0-9a-f]+" for AutoPET.
            quality: high or low.
            splits: nnU-Net's splits_final.json, which says what is training and what validation.
            fold: which of its folds, from 0.
        """
        self._finish(
            folder,
            lambda: find_nnunet(folder, channel=channel, patient=patient, quality=quality, splits=splits, fold=fold),
            quality,
        )

    def autopet(self, folder: str, quality: str = "high") -> None:
        """AutoPET's NIfTI tree, <patient>/<study>/SUV.nii.gz and SEG.nii.gz."""
        self._finish(folder, lambda: find_autopet(folder, quality=quality), quality)

    def monai_label(self, folder: str, label_names: dict | str | None = None) -> None:
        """A MONAI Label studies folder; --label_names '{"1": "liver"}' or a JSON file, for labels stored without."""
        names = read_json(label_names, "file of label names") if isinstance(label_names, str) else label_names or {}
        if not isinstance(names, dict) or not all(str(value).isdigit() for value in names):
            raise ValueError(f'--label_names must be as {{"1": "liver"}}, whole numbers and names; got {names!r}')
        values = {int(value): str(name) for value, name in names.items()}
        self._finish(folder, lambda: find_monai_label(folder, label_names=values))

    def dicom(self, folder: str, structures: Sequence[str] | str = (), quality: str = "high") -> None:
        """DICOM PET series with RTSTRUCT or SEG; --structures names the ROIs to take."""
        chosen = [structures] if isinstance(structures, str) else list(structures)
        self._finish(folder, lambda: find_dicom(folder, self._output, structures=chosen, quality=quality), quality)

    def _finish(self, folder: str, find: Callable[[], Found], quality: str = QUALITIES[0]) -> None:
        if quality not in QUALITIES:
            raise ValueError(f"--quality must be {' or '.join(QUALITIES)}, got {quality!r}")
        found = find()
        problems = check_studies(found)
        if not found.studies and not problems:
            raise ValueError(f"no labelled study was found in {folder}")
        print_problems(problems)
        bad = {problem.study for problem in problems}
        if problems and not self._leave_out_bad:
            raise ValueError(f"{len(problems)} problem(s), no list written; --leave_out_bad leaves those studies out")
        kept = [study for study in found.studies if study.name not in bad]
        sections = split_studies(kept, **self._shares)
        path = write_data_list(self._output / "data_list.json", sections)
        for section, entries in sections.items():
            counts = ", ".join(f"{name} {count}" for name, count in sorted(count_labels(entries).items()))
            low = sum(entry.quality == "low" for entry in entries)
            print(f"{section}: {len(entries)} studies, {low} of low quality{': ' + counts if counts else ''}")
        for section in ("training", "validation"):
            if not sections[section]:
                print(
                    f"no study fell to {section}, which a run needs: set another --validation_share, "
                    f"or move entries in {path}"
                )
        print(f"{len(found.studies) - len(kept)} of {len(found.studies)} studies left out; wrote {path}")


def print_problems(problems: list[Problem]) -> None:
    """One table of all problems."""
    if not problems:
        return
    width = max(len("study"), *(len(problem.study) for problem in problems))
    print(f"{'study':<{width}}  problem")
    for problem in sorted(problems, key=lambda problem: problem.study):
        print(f"{problem.study:<{width}}  {problem.text}")


if __name__ == "__main__":
    run(Prepare)

"""Headers of a made-up series whose factor is known by hand, and what the rules make of changed ones."""

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from seganypet.pet import SuvUnavailableError, suv_factors

RADIO = (
    "RadionuclideTotalDose",
    "RadionuclideHalfLife",
    "RadiopharmaceuticalStartTime",
    "RadiopharmaceuticalStartDateTime",
)
# injected two half-lives of one hour before the series: 400 MBq → 100 MBq; 80 kg
BQML = {
    "Units": "BQML",
    "DecayCorrection": "START",
    "CorrectedImage": ["DECY", "ATTN"],
    "PatientWeight": "80",
    "SeriesDate": "20250301",
    "SeriesTime": "120000",
    "AcquisitionDate": "20250301",
    "AcquisitionTime": "120000.00",
    "RadionuclideTotalDose": "400000000",
    "RadionuclideHalfLife": "3600",
    "RadiopharmaceuticalStartTime": "100000",
}
FACTOR = 80_000 / 100e6


def header(fields: dict, *, private: tuple = ()) -> Dataset:
    """A data set as a scanner writes it: the radiopharmaceutical's fields in their sequence."""
    dataset, item = Dataset(), Dataset()
    for keyword, value in fields.items():
        if value is not None:
            setattr(item if keyword in RADIO else dataset, keyword, value)
    if len(item):
        dataset.RadiopharmaceuticalInformationSequence = Sequence([item])
    for group, creator, element, vr, value in private:
        dataset.private_block(group, creator, create=True).add_new(element, vr, value)
    return dataset


def factors_of(headers: list[dict]):
    """The factors of a series whose headers hold these fields."""
    return suv_factors([header(fields) for fields in headers])


def reason_of(headers: list[dict]) -> str:
    """Why SUV is refused."""
    with pytest.raises(SuvUnavailableError) as caught:
        factors_of(headers)
    return str(caught.value)

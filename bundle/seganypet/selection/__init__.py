"""Which study to label next: prompts without a reader, uncertainty, diversity."""

from seganypet.selection.diversity import farthest_first, uptake_features
from seganypet.selection.peaks import Peak, uptake_peaks
from seganypet.selection.uncertainty import (
    AskedPeak,
    StudyUncertainty,
    disagreement,
    nearby_clicks,
    study_uncertainty,
)

__all__ = [
    "AskedPeak",
    "Peak",
    "StudyUncertainty",
    "disagreement",
    "farthest_first",
    "nearby_clicks",
    "study_uncertainty",
    "uptake_features",
    "uptake_peaks",
]

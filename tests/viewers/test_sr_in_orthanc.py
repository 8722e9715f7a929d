"""A final label's measures in a real Orthanc, as a DICOM SR beside the SEG that it refers to."""

from __future__ import annotations

import highdicom
import numpy as np
import pydicom
import pytest
from lib.store.archive import Archive
from lib.store.archive_store import ArchiveStore
from lib.store.datastore import FINAL
from lib.store.volumes import Volumes
from oblique_study import SHAPE, write_study

from seganypet.pet import measure_uptake


def test_measures_arrive_with_the_seg_where_that_is_asked_for(orthanc, tmp_path):
    files = write_study(tmp_path / "study", seed=22)
    uid = str(pydicom.dcmread(files[0]).SeriesInstanceUID)
    orthanc.store(files)
    store = ArchiveStore(Archive.open(orthanc.dicomweb), tmp_path / "cache", Volumes(10**9), send_sr=True)
    before = {kind: set(orthanc.series(kind)) for kind in ("SEG", "SR")}
    node = np.zeros(SHAPE, bool)
    node[8:12, 8:12, 8:12] = True
    store.save_target(uid, FINAL, node, {"label": "node", "replaces": "", "client_id": "Dr. Reader"})
    (seg_uid,), (sr_uid,) = (set(orthanc.series(kind)) - known for kind, known in before.items())
    (seg,), (sr,) = (orthanc.files_of(one, tmp_path) for one in (seg_uid, sr_uid))
    assert store.get_label_info(uid, FINAL)["seg"]["series_uid"] == seg_uid
    report, uptake = highdicom.sr.srread(sr), measure_uptake(store.volume(uid), node)
    (group,) = report.content.get_volumetric_roi_measurement_groups()
    assert group.referenced_segment.referenced_sop_instance_uid == pydicom.dcmread(seg).SOPInstanceUID
    values = [one.value for one in group.get_measurements()]
    measures = ("volume_ml", "suv_max", "suv_mean", "suv_min", "suv_peak", "tlg")
    assert values == pytest.approx([getattr(uptake, name) for name in measures], rel=1e-12)
    assert "Dr. Reader" in [str(one.PersonName) for one in report.ContentSequence if one.ValueType == "PNAME"]
    orthanc.delete_series(uid)

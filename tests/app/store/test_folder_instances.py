"""A folder's series as DICOMweb sees them: malformed headers, compressed pixels, labels whose SEG keeps its UIDs."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from ct_beside import write_ct
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRBigEndian
from small_studies import DICOM_AFFINE, HOT, SHAPE, hot_block

from seganypet.pet import PetReadError, SyntheticPatient, write_pet_dicom_series


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ann", "bob"):
        write_pet_dicom_series(
            hot_block(), DICOM_AFFINE, tmp_path / "studies" / name, patient=SyntheticPatient(patient_id=name)
        )
    return tmp_path / "studies"


def edit(folder: Path, change: Callable[[pydicom.Dataset], None], *, only: int) -> None:
    """Apply `change` to one file of a series."""
    path = sorted(folder.glob("*.dcm"))[only]
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)


def served(folder: Path):
    from lib.store.datastore import StudyStore
    from lib.store.folder_instances import FolderInstances
    from lib.store.volumes import Volumes

    store = StudyStore(str(folder), Volumes(2**28), auto_reload=False)
    return store, FolderInstances(store)


def raw(tag: int, vr: str, value: bytes):
    """An element as it would stand in a damaged file."""

    def change(dataset: pydicom.Dataset) -> None:
        dataset._dict[Tag(tag)] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)

    return change


def test_a_ct_beside_a_pet_is_shown_and_never_clicked_in(folder):
    ct = write_ct(folder / "ann", folder / "ann_ct")
    write_ct(folder / "bob", folder / "stranger", study="1.2.3")  # nobody opens a CT without PET here
    store, instances = served(folder)
    assert sorted(store.list_images()) == ["ann", "bob"]
    found = list(instances.series())
    assert [(one.study_id, one.is_pet) for one in found] == [("ann", True), ("ann", False), ("bob", True)]
    assert (found[1].uid, found[1].count, found[1].study_uid) == (ct, SHAPE[2], found[0].study_uid)
    assert found[1].head()["00080060"]["Value"] == ["CT"]
    assert [one.uid for one in instances.series(found[0].study_uid, ct)] == [ct]
    rows = [one.row for one in found[1].instances()]
    assert [row["00200013"]["Value"] for row in rows] == [[n + 1] for n in range(SHAPE[2])]
    np.testing.assert_array_equal(
        found[1].instances()[4].frames().pixels(0), found[0].instances()[4].frames().pixels(0)
    )


def test_what_is_malformed_is_left_out_and_hides_nothing_else(folder):
    edit(folder / "ann", raw(0x00200013, "IS", b"abc "), only=0)  # InstanceNumber
    edit(folder / "ann", raw(0x00101030, "DS", b"heavy "), only=1)
    edit(folder / "ann", raw(0x00189073, "FD", np.float64("nan").tobytes()), only=2)
    edit(folder / "ann", raw(0x00080018, "UI", b""), only=3)  # no SOPInstanceUID
    _, instances = served(folder)
    found = {one.study_id: one for one in instances.series()}
    assert found["ann"].head() is not None
    assert (len(found["ann"].instances()), len(found["bob"].instances())) == (SHAPE[2] - 1, SHAPE[2])
    rows = [one.row for one in found["ann"].instances()]
    assert sum("00101030" not in row for row in rows) == 1, "only the weight that is none"
    assert all("00100020" in row for row in rows)


def test_a_search_opens_one_file_a_series(folder, monkeypatch):
    _, instances = served(folder)
    opened = []
    from lib.store import folder_instances

    read = folder_instances.read_instance
    monkeypatch.setattr(folder_instances, "read_instance", lambda file: opened.append(file) or read(file))
    assert [one.count for one in instances.series() if one.head()] == [SHAPE[2]] * 2
    assert len(opened) == 2


@pytest.mark.parametrize("codec", ["JPEG", "JPEG2000", "big endian"])
def test_frames_are_the_stored_pixels_whatever_the_syntax(folder, codec, tmp_path):
    truth = {}
    for file in (folder / "ann").glob("*.dcm"):
        dataset = pydicom.dcmread(file)
        truth[str(dataset.SOPInstanceUID)] = dataset.pixel_array.copy()
        if codec == "big endian":
            dataset.PixelData = dataset.pixel_array.astype(">u2").tobytes()
            dataset.is_little_endian, dataset.is_implicit_VR = False, False
            dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        else:
            writer = sitk.ImageFileWriter()
            writer.SetImageIO("GDCMImageIO")
            writer.SetUseCompression(True)
            writer.SetCompressor(codec)
            writer.SetFileName(str(tmp_path / "compressed.dcm"))
            writer.Execute(sitk.GetImageFromArray(dataset.pixel_array[None].astype(np.uint16)))
            encoded = pydicom.dcmread(tmp_path / "compressed.dcm")
            assert encoded.file_meta.TransferSyntaxUID.is_compressed
            dataset.PixelData = encoded.PixelData
            dataset["PixelData"].is_undefined_length = True
            dataset.file_meta.TransferSyntaxUID = encoded.file_meta.TransferSyntaxUID
        dataset.save_as(file, write_like_original=False)
    _, instances = served(folder)
    (series,) = [one for one in instances.series() if one.study_id == "ann"]
    for one in series.instances():
        frames = one.frames()
        assert len(frames.contents) == 1
        np.testing.assert_array_equal(frames.pixels(0), truth[one.uid])


def test_pixels_that_break_off_are_said(folder):
    edit(folder / "ann", lambda dataset: setattr(dataset, "PixelData", dataset.PixelData[:100]), only=4)
    _, instances = served(folder)
    (series,) = [one for one in instances.series() if one.study_id == "ann"]
    cut = pydicom.dcmread(sorted((folder / "ann").glob("*.dcm"))[4]).SOPInstanceUID
    for one in series.instances():
        if one.uid != cut:
            assert one.frames().pixels(0).shape == (SHAPE[1], SHAPE[0])
    (one,) = [one for one in series.instances() if one.uid == cut]
    with pytest.raises(PetReadError, match=r"slice_0004\.dcm has 100 bytes of pixels, not 960"):
        one.frames()


def save(store, folder: Path, where: tuple[slice, ...], name: str) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[where] = 1
    file = folder.parent / "mask.nii.gz"
    nib.save(nib.Nifti1Image(mask, DICOM_AFFINE.astype(np.float32)), file)
    store.save_label("bob", str(file), "final", {"label_info": [{"name": name, "idx": 1}]})
    return mask


def seg_of(instances):
    return next(one for one in instances.series() if not one.is_pet)


def test_a_labels_seg_has_one_uid_for_all_who_ask_and_after_a_restart(folder):
    store, instances = served(folder)
    mask = save(store, folder, HOT, "spleen")
    with ThreadPoolExecutor(8) as pool:
        asked = list(
            pool.map(
                lambda _: [(seg_of(instances).uid, one.uid, one.content) for one in seg_of(instances).instances()],
                range(8),
            )
        )
    assert len({str(one) for one in asked}) == 1
    ((uid, instance_uid, content),) = asked[0]
    again = seg_of(served(folder)[1])
    assert (again.uid, again.instances()[0].uid) == (uid, instance_uid)
    seg = hd.seg.segread(io.BytesIO(content))
    assert (seg.SeriesInstanceUID, seg.SOPInstanceUID) == (uid, instance_uid)
    assert seg.file_meta.MediaStorageSOPInstanceUID == instance_uid
    assert seg.StudyInstanceUID == again.study_uid
    assert np.count_nonzero(seg.pixel_array) == mask.sum()
    save(store, folder, (slice(0, 3), slice(0, 3), slice(0, 3)), "liver")  # within the same second
    other = seg_of(instances)
    assert other.uid != uid
    assert hd.seg.segread(io.BytesIO(other.instances()[0].content)).get_segment_description(1).segment_label == "liver"
    assert not list(folder.rglob("*SEG*")) + list(folder.rglob("seg*.dcm"))


def test_what_a_search_says_of_a_seg_is_what_it_holds(folder):
    store, instances = served(folder)
    save(store, folder, HOT, "spleen")
    seg = seg_of(instances)
    row, (instance,) = seg.head(), seg.instances()
    for tag, entry in row.items():
        if tag != "00080005":
            assert instance.row.get(tag, {}).get("Value") == entry.get("Value"), tag


def test_a_renamed_target_is_another_seg(folder):
    store, instances = served(folder)
    save(store, folder, HOT, "spleen")
    before = seg_of(instances)
    (target,) = store.get_label_info("bob", "final")["targets"]
    store.add_label_info("bob", "final", {"targets": [{**target, "name": "liver"}]})
    after = seg_of(instances)
    assert after.uid != before.uid
    (instance,) = after.instances()
    assert hd.seg.segread(io.BytesIO(instance.content)).get_segment_description(1).segment_label == "liver"


def test_a_seg_of_what_was_saved_meanwhile_is_not_taken_for_the_old_one(folder):
    store, instances = served(folder)
    save(store, folder, HOT, "spleen")
    asked = seg_of(instances)
    save(store, folder, (slice(0, 3), slice(0, 3), slice(0, 3)), "spleen")
    assert asked.instances() == []
    (instance,) = seg_of(instances).instances()
    assert np.count_nonzero(hd.seg.segread(io.BytesIO(instance.content)).pixel_array) == 27

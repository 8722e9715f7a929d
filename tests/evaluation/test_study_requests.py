import json
from pathlib import Path

import pytest

from seganypet.clicks import Click
from seganypet.evaluation.study_requests import file_name, read_study_requests, study_names


def entry(image="a/suv.nii.gz", label="liver", clicks=((1, 2, 3),)):
    return {"image": image, "label_name": label, "clicks": [{"ijk": list(ijk), "positive": True} for ijk in clicks]}


@pytest.mark.parametrize("wrap", [lambda rows: rows, lambda rows: {"studies": rows}, lambda rows: {"test": rows}])
def test_entries_of_one_image_are_one_request(tmp_path, wrap):
    path = tmp_path / "list.json"
    path.write_text(json.dumps(wrap([entry(), entry("/far/b"), entry(label="spleen", clicks=((4, 5, 6), (7, 8, 9)))])))
    (first, second), problems = read_study_requests(path)
    assert not problems
    assert first.image == tmp_path / "a/suv.nii.gz"
    assert first.targets == {"liver": (Click((1, 2, 3)),), "spleen": (Click((4, 5, 6)), Click((7, 8, 9)))}
    assert second.image == Path("/far/b")


def test_every_bad_entry_is_named_and_the_good_ones_stay(tmp_path):
    path = tmp_path / "list.json"
    rows = [
        entry(),
        7,
        {"clicks": [[1, 2, 3]]},
        {"image": "c", "clicks": []},
        {**entry("d"), "clicks": [[1, 2]]},
        entry(),
    ]
    path.write_text(json.dumps(rows))
    requests, problems = read_study_requests(path)
    assert [request.image.name for request in requests] == ["suv.nii.gz"]
    assert [problem.split(": ")[0] for problem in problems] == [f"list.json [{n}]" for n in (1, 2, 3, 4, 5)]
    assert "need a positive click" in problems[2]
    assert "twice" in problems[4]


@pytest.mark.parametrize(
    ("content", "message"), [("{", "not JSON"), ("[]", "list of entries"), ('{"a": 1}', "entries")]
)
def test_a_list_without_entries_is_refused(tmp_path, content, message):
    path = tmp_path / "list.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_study_requests(path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_study_requests(tmp_path / "nowhere.json")


def test_names_of_studies_and_labels():
    images = [Path("/x/p1/suv.nii.gz"), Path("/x/p2/suv.nii.gz"), Path("/y/p2/suv.nii"), Path("/x/scan 3")]
    assert list(study_names(images).values()) == ["suv", "p2_suv", "suv_2", "scan_3"]
    assert file_name("../left kidney") == "left_kidney"
    assert file_name("…") == "unnamed"

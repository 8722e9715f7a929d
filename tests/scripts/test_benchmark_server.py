"""The server benchmark: what it compares, and a small run of it."""

import json
import subprocess
import sys

import numpy as np
import pytest

from seganypet.pet import PetVolume


@pytest.fixture
def scripts(repo, monkeypatch):
    monkeypatch.syspath_prepend(str(repo / "scripts"))


def test_a_mask_is_what_lies_between_numbers_and_boundary(scripts):
    from benchmarks.readers import mask_part

    answer = b'--a1\r\n\r\n{"seconds": 1}\r\n--a1\r\nimage\r\n\r\nNRRD0004\n\n\x00\x01\r\n--a1--\r\n'
    other = answer.replace(b"a1", b"b2").replace(b": 1", b": 25")
    assert bytes(mask_part(answer)) == b"NRRD0004\n\n\x00\x01" == bytes(mask_part(other))


def test_readers_click_the_largest_error_and_as_often_as_asked(scripts):
    from benchmarks.served_studies import reader_clicks

    class FirstHalf:
        """Finds the organ's first half, whatever is clicked, and after three clicks all of it."""

        def segment(self, volume, clicks):
            mask = np.zeros(volume.shape, bool)
            mask[2 : 5 if len(clicks) < 3 else 9, 2:5, 2:5] = True
            return mask

    organ = np.zeros((12, 8, 8), bool)
    organ[2:9, 2:5, 2:5] = True
    volume = PetVolume(np.zeros(organ.shape, np.float32), np.eye(4))
    clicks = reader_clicks(FirstHalf(), volume, organ, 5)
    assert len(clicks) == 5
    assert all(click.positive and organ[tuple(int(p) for p in click.ijk)] for click in clicks)
    assert clicks[0].ijk[1:] == (3, 3)
    assert clicks[1].ijk[0] in (6, 7)  # the middle of what is missing, 5 to 8


def test_a_study_lies_in_the_middle_of_the_field_of_view(scripts):
    from benchmarks.served_studies import _fitted

    fitted = _fitted(np.arange(1, 7).reshape(6, 1, 1), (4, 3, 1))
    assert fitted[:, 1, 0].tolist() == [2, 3, 4, 5]
    assert not fitted[:, [0, 2]].any()


@pytest.mark.slow
def test_small_run_gives_equal_masks_to_all_readers(repo, tmp_path):
    output = tmp_path / "server.json"
    command = [sys.executable, "scripts/benchmark.py", "server", "--readers", "[1,2]", "--shape", "[60,60,80]"]
    command += ["--clicks", "2", "--stock_clicks", "1", "--opened", "1", "--json", str(output)]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads(output.read_text())
    assert figures["masks_equal"]
    assert figures["seconds"]["later click, 2 at once"]["runs"] == 2
    assert figures["seconds"]["stock: click, 1 at once"]["median"] > 0
    assert figures["bytes_sent"]["our server"] > 60 * 60 * 80
    assert figures["bytes_sent"]["our server, to a browser"] < 60 * 60 * 80

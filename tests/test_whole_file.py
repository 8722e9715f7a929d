import errno
import os
import platform
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from seganypet.whole_file import is_abandoned, whole_file


def test_a_file_appears_with_all_of_its_content(tmp_path):
    path = tmp_path / "new" / "model.pt"
    with whole_file(path) as draft:
        draft.write_text("half")
        assert not path.exists()
        draft.write_text("whole")
    assert path.read_text() == "whole"
    assert [file.name for file in path.parent.iterdir()] == ["model.pt"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_its_name_is_on_the_disk_too_and_that_of_a_folder_made_for_it(tmp_path, monkeypatch):
    synced = []

    def fsync(handle: int) -> None:
        synced.append((Path(os.readlink(f"/proc/self/fd/{handle}")), path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    path = tmp_path / "labels" / "final" / "a.nii.gz"
    with whole_file(path) as draft:
        draft.write_text("whole")
    (content, named), *folders = synced
    assert content.parent == path.parent
    assert not named
    assert folders == [(path.parent, True), (path.parent.parent, True), (tmp_path, True)]


def test_a_folder_that_cannot_be_brought_to_the_disk_is_no_error(tmp_path, monkeypatch):
    def fsync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", fsync)
    with whole_file(tmp_path / "a") as draft:
        draft.write_text("whole")
    assert (tmp_path / "a").read_text() == "whole"


def test_an_error_leaves_what_was_there_and_no_draft(tmp_path):
    path = tmp_path / "model.pt"
    path.write_text("before")

    def write(draft: Path) -> None:
        draft.write_text("half")
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"), whole_file(path) as draft:
        write(draft)
    assert path.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


def test_a_draft_is_abandoned_once_its_process_is_gone(tmp_path):
    with whole_file(tmp_path / "a+b.nii.gz") as draft:
        draft.write_text("half")
        assert not is_abandoned(draft)
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        mine = f"+{os.getpid()}+"
        assert is_abandoned(draft.with_name(draft.name.replace(mine, f"+{gone.pid}+")))
        elsewhere = draft.name.replace(f"+{platform.node() or 'here'}{mine}", f"+another{mine}")
        assert not is_abandoned(draft.with_name(elsewhere.replace(mine, f"+{gone.pid}+")))
    assert not is_abandoned(tmp_path / ".x.partial")

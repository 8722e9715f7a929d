"""A real Orthanc over an empty folder, as Debian packages it."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from network_namespace import wait_until

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
PORT = 8042
BINARIES = ("Orthanc", "/usr/sbin/Orthanc")


@dataclass(frozen=True)
class Orthanc:
    """A running archive.

    Args:
        url: of its own REST interface.
    """

    url: str

    @property
    def dicomweb(self) -> str:
        return f"{self.url}/dicom-web"

    def store(self, files: Iterable[Path]) -> None:
        """Send DICOM files there."""
        for file in files:
            requests.post(f"{self.url}/instances", data=file.read_bytes(), timeout=30).raise_for_status()

    def series(self, modality: str) -> list[str]:
        """SeriesInstanceUIDs of one modality."""
        query = {"Level": "Series", "Query": {"Modality": modality}, "Expand": True}
        found = requests.post(f"{self.url}/tools/find", json=query, timeout=30).json()
        return sorted(one["MainDicomTags"]["SeriesInstanceUID"] for one in found)

    def files_of(self, series_uid: str, folder: Path) -> list[Path]:
        """The files of a series, written to a folder."""
        query = {"Level": "Instance", "Query": {"SeriesInstanceUID": series_uid}}
        files = []
        for number in requests.post(f"{self.url}/tools/find", json=query, timeout=30).json():
            files.append(folder / f"{number}.dcm")
            files[-1].write_bytes(requests.get(f"{self.url}/instances/{number}/file", timeout=30).content)
        return files

    def delete_series(self, series_uid: str) -> None:
        """Take a series out of the archive."""
        query = {"Level": "Series", "Query": {"SeriesInstanceUID": series_uid}}
        for number in requests.post(f"{self.url}/tools/find", json=query, timeout=30).json():
            requests.delete(f"{self.url}/series/{number}", timeout=30).raise_for_status()


@contextlib.contextmanager
def running_orthanc(folder: Path) -> Iterator[Orthanc]:
    """Orthanc with its DICOMweb plugin; call it inside a network namespace of the tests' own."""
    program = next((found for name in BINARIES if (found := shutil.which(name))), None)
    if program is None or not PLUGIN.exists():
        pytest.skip("Orthanc is not installed: apt-get install orthanc orthanc-dicomweb")
    settings = {
        "Name": "tests",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": PORT,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False},
    }
    config, log = folder / "orthanc.json", folder / "orthanc.log"
    config.write_text(json.dumps(settings))
    with log.open("wb") as output:
        process = subprocess.Popen([program, str(config)], stdout=output, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{PORT}"
    try:
        wait_until(lambda: _answers(f"{url}/system"), process, log)
        yield Orthanc(url)
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    with contextlib.suppress(requests.ConnectionError):
        return requests.get(url, timeout=5).ok
    return False

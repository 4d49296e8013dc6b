"""Searching every file of the model artefact store, names included."""

from collections import Counter
from collections.abc import Iterator

from django.core.files.storage import Storage, storages

from customers.scan.report import ScanReport
from customers.scan.sought import Sought

BLOCK_BYTES = 8 * 1024 * 1024
OVERLAP_BYTES = 4_096  # longer than anything sought, so that no cut hides it


def scan_files(sought: Sought, report: ScanReport) -> None:
    """Every file was read from end to end."""
    storage = storages["models"]
    for name in _files(storage, ""):
        report.files += 1
        report.add(f"models:{_shown(name, sought)}", dict(_counts(storage, name, sought)))


def _counts(storage: Storage, name: str, sought: Sought) -> Counter[str]:
    found = sought.count_in(name.encode())
    tail = b""
    with storage.open(name) as file:
        while block := file.read(BLOCK_BYTES):
            found |= sought.count_in(tail + block)
            tail = block[-OVERLAP_BYTES:]
    return found


def _shown(name: str, sought: Sought) -> str:
    """A file's name, unless the name itself is what must not be said."""
    return "(a file named after the person)" if sought.count_in(name.encode()) else name


def _files(storage: Storage, folder: str) -> Iterator[str]:
    try:
        folders, files = storage.listdir(folder)
    except FileNotFoundError:
        return  # no model was trained yet
    for file in sorted(files):
        yield f"{folder}/{file}".lstrip("/")
    for inner in sorted(folders):
        yield from _files(storage, f"{folder}/{inner}".lstrip("/"))

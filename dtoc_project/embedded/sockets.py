"""Where a server's socket lies: beside its data, or in /tmp where that path is too long."""

import hashlib
import tempfile
from pathlib import Path

LONGEST = 100  # bytes; the kernel's limit is 108 on Linux and 104 on BSD


def socket_folder(folder: Path, name: str) -> Path:
    """A folder for the socket ``name`` whose whole path the kernel accepts; the same every time."""
    beside = folder.with_name(f"{folder.name}-socket")
    if len(str(beside / name).encode()) <= LONGEST:
        return beside
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"dtoc-{digest}"

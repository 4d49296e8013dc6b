"""Key files: made once, readable by us alone, refused where damaged or open to others."""

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from customers.errors import KeyFileDamaged, KeyFileExposed, KeyFileMissing


def read_or_create(
    path: Path, *, make: Callable[[], bytes], may_create: Callable[[], bool] = lambda: True
) -> bytes:
    """The content of ``path``; where there is no file, it holds what ``make`` made (mode 0600).

    Several processes may come first at once: they all return the content of the one that won.

    Raises:
        KeyFileMissing: there is no file and ``may_create`` says that one must have existed.
        KeyFileExposed: others than the owner may read or write it.
        KeyFileDamaged: it is empty, or not a file.
    """
    if not path.exists():
        if not may_create():
            raise KeyFileMissing(path=path)
        _create(path, make())
    return _read(path)


def _create(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # A link appears whole or not at all, and fails where another process was quicker.
        os.link(draft, path)
        _sync(path.parent)
    except FileExistsError:
        pass
    finally:
        os.unlink(draft)


def _sync(folder: Path) -> None:
    """The new name survives a power cut: data sealed with this key may be committed next."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise KeyFileDamaged(path=path, problem="is not a file")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise KeyFileExposed(path=path, mode=f"{mode:04o}")
    content = path.read_bytes()
    if not content:
        raise KeyFileDamaged(path=path, problem="is empty")
    return content

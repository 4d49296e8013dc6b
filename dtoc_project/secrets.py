"""Secrets that are made at the first start and kept in files that only we can read."""

import os
import secrets
import tempfile
from pathlib import Path


def secret_from_file(path: Path) -> str:
    """The secret in ``path``; made there (mode 0600) where there is none yet.

    Several processes may start at once: the first file to be linked in place wins, whole.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(64))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # another process was quicker
        finally:
            os.unlink(draft)
    return path.read_text().strip()

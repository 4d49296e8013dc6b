"""Settings of the tests: the product's own, on a PostgreSQL and a Redis that this run starts.

The run gets servers of its own, so it can neither disturb nor be disturbed by a running stack.
Where both variables name servers already (a worker of pytest-xdist, or CI with its own), those are
used.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from dtoc_project import embedded

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small tensors; threads would fight over the cores

if not (os.environ.get("DTOC_DATABASE_URL") and os.environ.get("DTOC_REDIS_URL")):
    _home = Path(tempfile.mkdtemp(prefix="dtoc-test-"))
    _home.chmod(0o755)  # where we are root, PostgreSQL runs as another user and must pass through
    os.environ["DTOC_HOME"] = str(_home)
    os.environ["DTOC_EMBEDDED_FSYNC"] = "off"  # these clusters live for minutes
    os.environ.setdefault("DTOC_DEVICE", "cpu")
    atexit.register(shutil.rmtree, _home, ignore_errors=True)  # runs after the servers have stopped
    embedded.start()

from dtoc_project.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # quick log-ins

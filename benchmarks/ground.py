"""The ground of a benchmark: servers of its own, a migrated database, a synthetic shop in it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dtoc_project import embedded


@contextmanager
def ground() -> Iterator[Path]:
    """Private servers run with full durability, Django is set up; all of it is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="dtoc-bench-"))
    folder.chmod(0o755)  # where we are root, PostgreSQL runs as another user and must pass through
    for name in ("DTOC_DATABASE_URL", "DTOC_REDIS_URL"):
        os.environ.pop(name, None)
    os.environ["DTOC_HOME"] = str(folder)
    os.environ["DJANGO_SETTINGS_MODULE"] = "dtoc_project.settings"
    try:
        embedded.start()
        _set_up()
        yield folder
    finally:
        embedded.stop()
        shutil.rmtree(folder, ignore_errors=True)


def shop_file(folder: Path, customers: int, days: int = 365) -> Path:
    """A synthetic shop as Parquet."""
    from ml.shop.config import ShopConfig
    from ml.shop.write import write_parquet

    file = folder / f"shop-{customers}-{days}.parquet"
    write_parquet(ShopConfig(customers=customers, days=days, seed=7), file)
    return file


def _set_up() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", interactive=False, verbosity=0)

"""The independent scan: the whole database, all of Redis, and every model artefact.

It knows no app and asks no app. What it looks for is a ``Sought``; what it found, where it looked
and what it could not look for is a ``ScanReport``.
"""

from customers.erasure import Finding
from customers.scan.files import scan_files
from customers.scan.redis import scan_redis
from customers.scan.report import ScanReport
from customers.scan.sought import Sought
from customers.scan.tables import scan_tables

__all__ = ["Finding", "ScanReport", "Sought", "scan_everything"]


def scan_everything(sought: Sought) -> ScanReport:
    """Every place was searched for everything that is sought."""
    report = ScanReport(searched_for=sought.searched_for(), not_searched_for=sought.blind_spots())
    scan_tables(sought, report)
    scan_redis(sought, report)
    scan_files(sought, report)
    return report

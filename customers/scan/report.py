"""What a scan looked for, where it looked, and what it found."""

from dataclasses import dataclass, field
from typing import Any

from customers.erasure import Finding


@dataclass(slots=True)
class ScanReport:
    """Filled while a scan runs; says where something was found, never what it was."""

    searched_for: list[str]
    not_searched_for: list[str]
    findings: list[Finding] = field(default_factory=list)
    tables: int = 0
    columns: int = 0
    redis_keys: int = 0
    files: int = 0
    stores: int = 0  # stores whose own scan took part
    left_out: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not self.findings

    def add(self, place: str, counts: dict[str, int]) -> None:
        """Note what was found at ``place``, by what it is."""
        self.findings += [Finding(place, what, n) for what, n in sorted(counts.items()) if n]

    def as_json(self) -> dict[str, Any]:
        """The report without anything personal, as receipts and commands show it."""
        return {
            "clean": self.is_clean,
            "searched_for": self.searched_for,
            "not_searched_for": self.not_searched_for,
            "left_out": self.left_out,
            "tables": self.tables,
            "columns": self.columns,
            "redis_keys": self.redis_keys,
            "model_files": self.files,
            "stores": self.stores,
            "findings": [
                {"place": found.place, "what": found.what, "count": found.count}
                for found in self.findings
            ],
        }

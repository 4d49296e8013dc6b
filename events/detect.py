"""Which mapping reads a file: the one whose columns it has."""

from pathlib import Path

from events.errors import ColumnsMissing, NoMappingFits
from events.files import open_rows
from events.files.nested import WHOLE
from events.files.rows import format_of
from events.mapping import load_mapping, mapping_names


def mapping_for(path: Path, shown: str | None = None) -> str:
    """The name of the mapping all of whose columns are in the file; of several, the widest.

    Raises:
        NoMappingFits: the file lacks columns of every mapping.
        FileMissing, FileUnsupported, FileDamaged: there is no such file, or it cannot be read.
    """
    name = shown or str(path)
    fitting: dict[str, int] = {}
    for known in mapping_names():
        marks = load_mapping(known).marks()
        if WHOLE in marks and format_of(name) != "ndjson":
            continue
        try:
            open_rows(path, marks, name)
        except ColumnsMissing:
            continue
        fitting[known] = len(marks)
    if not fitting:
        raise NoMappingFits(path=name, known=", ".join(mapping_names()))
    return max(fitting, key=lambda known: fitting[known])

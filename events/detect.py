"""Which mapping reads a file: the one whose columns it has."""

from pathlib import Path

from events.errors import ColumnsMissing, NoMappingFits
from events.files import open_rows
from events.mapping import load_mapping, mapping_names


def mapping_for(path: Path) -> str:
    """The name of the mapping all of whose columns are in the file; of several, the widest.

    Raises:
        NoMappingFits: the file lacks columns of every mapping.
        FileMissing, FileUnsupported, FileDamaged: there is no such file, or it cannot be read.
    """
    fitting: dict[str, int] = {}
    for name in mapping_names():
        columns = load_mapping(name).columns()
        try:
            open_rows(path, columns)
        except ColumnsMissing:
            continue
        fitting[name] = len(columns)
    if not fitting:
        raise NoMappingFits(path=path, known=", ".join(mapping_names()))
    return max(fitting, key=lambda name: fitting[name])

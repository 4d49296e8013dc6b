"""A gzip file that ends early gives every whole line before its end, and always the same ones."""

import gzip
import zlib

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from events.files import tables
from events.files.tables import CsvReader, UntilDamage


def rows_of(path) -> tuple[int, Exception | None]:
    found = 0
    try:
        for piece in CsvReader(path, is_gzip=True).pieces(["n", "text"]):
            found += piece.table.num_rows
    except Exception as error:
        return found, error
    return found, None


def test_how_many_rows_come_before_the_damage_is_not_chance(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "BLOCK_BYTES", 10_000)
    text = "n,text\n" + "".join(f"{n},{n * 7919 % 1009}\n" for n in range(20_000))
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(text.encode())[:-3_000])

    (rows, error), *others = (rows_of(path) for _ in range(30))

    assert rows > 10_000
    assert isinstance(error, EOFError)
    assert {found for found, _ in others} == {rows}


lines = st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"")), max_size=40)


@settings(deadline=None)
@given(lines, st.booleans(), st.integers(41, 200), st.data())  # no line is longer
def test_what_comes_are_whole_lines_and_all_of_them_where_nothing_is_damaged(
    tmp_path_factory, made, ends, size, data
):
    text = b"\n".join(made) + (b"\n" if ends else b"")
    packed = gzip.compress(text, compresslevel=1)
    cut = data.draw(st.one_of(st.just(len(packed)), st.integers(1, len(packed))))
    path = tmp_path_factory.getbasetemp() / "some.gz"
    path.write_bytes(packed[:cut])

    with path.open("rb") as file:
        reader, parts = UntilDamage(file), []
        while part := reader.read(size):
            parts.append(part)

    got = b"".join(parts)
    assert text.startswith(got)
    if cut == len(packed):
        assert (got, reader.damage) == (text, None)
    else:
        assert isinstance(reader.damage, EOFError | OSError | zlib.error)
        assert got == b"" or got.endswith(b"\n")


def test_a_file_that_is_damaged_before_its_first_row_says_so(tmp_path):
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(b"n,text\n1,2\n")[:12])

    assert isinstance(rows_of(path)[1], EOFError)


def test_a_line_without_end_is_not_gathered_in_memory(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(10_000_000)))

    with path.open("rb") as file:
        assert len(UntilDamage(file).read(1_000)) == 1_000
    assert isinstance(rows_of(path)[1], pa.ArrowInvalid)

"""Searching every column of every table that can hold text, JSON, UUIDs or bytes."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from django.db import connection
from psycopg2 import sql

from customers.scan.report import ScanReport
from customers.scan.sought import DIGEST, PSEUDONYM, UUID_TEXT, VALUE, Sought

# Numbers, truth values and times hold no name. Everything else has a text form and is searched,
# types that we have never heard of included.
SAFE_TYPES = (
    "smallint", "integer", "bigint", "numeric", "real", "double precision", "money", "oid", "xid8",
    "boolean", "date", "time without time zone", "time with time zone", "interval",
    "timestamp without time zone", "timestamp with time zone",
)  # fmt: skip

# Base tables with rows of their own: a partitioned parent (relkind p) shows its partitions' rows.
COLUMNS = r"""
SELECT c.table_schema, c.table_name, c.column_name, c.data_type
FROM information_schema.columns AS c
JOIN pg_namespace AS n ON n.nspname = c.table_schema
JOIN pg_class AS t ON t.relnamespace = n.oid AND t.relname = c.table_name AND t.relkind = 'r'
WHERE c.table_schema NOT IN ('pg_catalog', 'information_schema')
  AND c.table_schema NOT LIKE 'pg\_%%' AND c.data_type <> ALL(%s)
ORDER BY 1, 2, c.ordinal_position
"""

SUPPRESSED_DIGEST = ("customers_suppression", "digest")
OWN_PSEUDONYM = ("customers_datasubjectrequest", "pseudonym")
Condition = tuple[str, sql.Composable, list[Any]]  # what it finds, SQL, parameters


def scan_tables(sought: Sought, report: ScanReport) -> None:
    """Each table was read once from end to end."""
    tables: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS, [list(SAFE_TYPES)])
        for schema, table, column, data_type in cursor.fetchall():
            tables[schema, table].append((column, data_type))
    report.left_out += _exceptions(sought)
    for (schema, table), columns in tables.items():
        report.tables += 1
        report.columns += len(columns)
        _scan_table(sought, report, schema, table, columns)


def _exceptions(sought: Sought) -> list[str]:
    left_out = ["customers_suppression.digest: the digests that keep the person from coming back"]
    if sought.own_request is not None:
        left_out.append("customers_datasubjectrequest.pseudonym of this request, until completed")
    return left_out


def _scan_table(
    sought: Sought, report: ScanReport, schema: str, table: str, columns: list[tuple[str, str]]
) -> None:
    texts, asked = [], []
    for number, (column, data_type) in enumerate(columns):
        name, text = sql.Identifier(column), sql.Identifier(f"text {number}")
        texts.append(sql.SQL("{} AS {}").format(_as_text(name, data_type), text))
        for condition in _conditions(sought, name, text, data_type):
            if (table, column) == SUPPRESSED_DIGEST and condition[0] == DIGEST:
                continue
            if (table, column) == OWN_PSEUDONYM:
                condition = _of_others(sought, condition)
            asked.append((column, condition))
    query = _count_query(schema, table, texts, [condition for _, condition in asked])
    with connection.cursor() as cursor:
        cursor.execute(query, [value for _, (_, _, values) in asked for value in values])
        found = cursor.fetchone()
    by_column: dict[str, Counter[str]] = defaultdict(Counter)
    for (column, (what, _, _)), count in zip(asked, found, strict=True):
        by_column[column][what] += count
    for column, counted in by_column.items():
        report.add(f"{table}.{column}", counted)


def _count_query(
    schema: str, table: str, texts: list[sql.Composed], conditions: list[Condition]
) -> sql.Composable:
    counts = [sql.SQL("count(*) FILTER (WHERE {})").format(text) for _, text, _ in conditions]
    # OFFSET 0 keeps the planner from writing each text's expression into every condition.
    return sql.SQL("SELECT {} FROM (SELECT *, {} FROM {} OFFSET 0) AS r").format(
        sql.SQL(", ").join(counts), sql.SQL(", ").join(texts), sql.Identifier(schema, table)
    )


def _as_text(column: sql.Identifier, data_type: str) -> sql.Composable:
    if data_type == "bytea":
        # Escaped, bytes that are text read as that text, and all others as octal numbers.
        return sql.SQL("lower(encode({}, 'escape'))").format(column)
    return sql.SQL("lower({}::text)").format(column)


def _of_others(sought: Sought, condition: Condition) -> Condition:
    """The open request's own row names the person until the request is completed."""
    what, text, values = condition
    if sought.own_request is None:
        return condition
    return what, sql.SQL("({}) AND id <> %s").format(text), [*values, sought.own_request]


def _conditions(
    sought: Sought, column: sql.Identifier, text: sql.Identifier, data_type: str
) -> list[Condition]:
    if data_type == "uuid":
        return [_uuid_condition(sought, column)]
    conditions = _text_conditions(sought, text)
    if data_type == "bytea":
        pairs = zip(conditions, _bytes_conditions(sought, column), strict=True)
        return [_either(*pair) for pair in pairs]
    return conditions


def _uuid_condition(sought: Sought, column: sql.Identifier) -> Condition:
    if sought.pseudonym is not None:
        return PSEUDONYM, sql.SQL("{} = %s").format(column), [sought.pseudonym]
    hashed = sql.SQL("sha256(uuid_send({})) = %s").format(column)
    return PSEUDONYM, hashed, [bytes.fromhex(sought.pseudonym_sha256)]


def _text_conditions(sought: Sought, text: sql.Composable) -> list[Condition]:
    return [
        _pseudonym_in_text(sought, text),
        (DIGEST, *_contains_any(text, sought.digest_texts)),
        (VALUE, *_matches(text, sought.value_pattern)),
    ]


def _pseudonym_in_text(sought: Sought, text: sql.Composable) -> Condition:
    if sought.pseudonym is not None:
        return PSEUDONYM, *_contains_any(text, sought.pseudonym_texts)
    # Only the hash is known: hash everything that looks like a UUID.
    looks_like = sql.SQL(
        "EXISTS (SELECT FROM regexp_matches({}, %s, 'g') AS m"
        " WHERE sha256(decode(replace(m[1], '-', ''), 'hex')) = %s)"
    ).format(text)
    return PSEUDONYM, looks_like, [f"({UUID_TEXT})", bytes.fromhex(sought.pseudonym_sha256)]


def _bytes_conditions(sought: Sought, column: sql.Identifier) -> list[Condition]:
    values = [value.encode() for _, value in sought.identities if not value.isascii()]
    return [
        _pseudonym_in_bytes(sought, column),
        (DIGEST, *_contains_bytes(column, list(sought.digests))),
        (VALUE, *_contains_bytes(column, values)),
    ]


def _pseudonym_in_bytes(sought: Sought, column: sql.Identifier) -> Condition:
    if sought.pseudonym is not None:
        return PSEUDONYM, *_contains_bytes(column, [sought.pseudonym.bytes])
    hashed = sql.SQL("length({0}) = 16 AND sha256({0}) = %s").format(column)
    return PSEUDONYM, hashed, [bytes.fromhex(sought.pseudonym_sha256)]


def _contains_any(text: sql.Composable, needles: list[str]) -> tuple[sql.Composable, list[Any]]:
    # strpos knows no wildcards, so nothing needs escaping.
    tests = [sql.SQL("strpos({}, %s) > 0").format(text) for _ in needles]
    return _any_of(tests), list(needles)


def _contains_bytes(
    column: sql.Composable, needles: list[bytes]
) -> tuple[sql.Composable, list[Any]]:
    tests = [sql.SQL("position(%s::bytea IN {}) > 0").format(column) for _ in needles]
    return _any_of(tests), list(needles)


def _matches(text: sql.Composable, pattern: str | None) -> tuple[sql.Composable, list[Any]]:
    if pattern is None:
        return sql.SQL("false"), []
    return sql.SQL("{} ~ %s").format(text), [pattern]


def _any_of(tests: Sequence[sql.Composable]) -> sql.Composable:
    return sql.SQL("({})").format(sql.SQL(" OR ").join(tests)) if tests else sql.SQL("false")


def _either(first: Condition, second: Condition) -> Condition:
    what, left, left_values = first
    _, right, right_values = second
    return what, sql.SQL("({}) OR ({})").format(left, right), [*left_values, *right_values]

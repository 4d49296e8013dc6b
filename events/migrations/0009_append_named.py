"""An event that comes alone may name its customer by the pseudonym as well."""

from importlib import import_module

from django.db import migrations

before = import_module("events.migrations.0008_append_known")

OLD = before.APPEND_KNOWN
TYPES = "uuid, text, smallint, timestamptz, jsonb, jsonb, text, float8, float8, timestamptz"

# ``named`` is a pseudonym and ``digest`` that of its suppression, or null and that of an identity.
FOUND = """
    stream := CASE
        WHEN named IS NULL THEN customers_known(digest) ELSE customers_named(named, digest)
    END;
"""
NEW = OLD.replace("digest bytea,", "named uuid, digest bytea,").replace(
    "    stream := customers_known(digest);\n", FOUND.lstrip("\n")
)


class Migration(migrations.Migration):
    dependencies = [
        ("events", "0008_append_known"),
        ("customers", "0004_named_function"),
    ]

    operations = [
        migrations.RunSQL(
            f"DROP FUNCTION events_append_known(bytea, {TYPES}, integer, text); {NEW}",
            f"DROP FUNCTION events_append_known(uuid, bytea, {TYPES}, integer, text); {OLD}",
        )
    ]

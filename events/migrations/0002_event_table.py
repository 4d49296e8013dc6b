"""The event table: partitioned by stream, closed to every change but an erasure.

The names of customers' tables are bound when the functions run, so that no foreign key ties the
event store to the vault; the dependency below makes them exist before the first row is deleted.
"""

from django.db import migrations

PARTITIONS = 16

TABLE = """
CREATE TABLE events_event (
    stream uuid NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    event_id uuid NOT NULL,
    type varchar(60) NOT NULL,
    schema_version smallint NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    data jsonb NOT NULL,
    metadata jsonb NOT NULL,
    position bigint GENERATED ALWAYS AS IDENTITY,
    txid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (stream, version),
    CONSTRAINT events_event_once UNIQUE (stream, event_id)
) PARTITION BY HASH (stream);
CREATE INDEX events_event_feed ON events_event (txid, position);
"""

# A row trigger is inherited by the partitions, a statement trigger is not: without one of its own
# on every partition, TRUNCATE of a single partition goes through. ALWAYS: a session that calls
# itself a replica would skip ordinary triggers.
FUNCTIONS = """
CREATE FUNCTION events_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE
    named text := current_setting('dtoc.erasure_request', true);
BEGIN
    IF TG_OP = 'DELETE' AND named <> '' AND EXISTS (
        SELECT FROM customers_datasubjectrequest AS r
        WHERE r.id = named::uuid AND r.pseudonym = OLD.stream AND r.status = 'in_progress'
    ) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'events are append-only: % on % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'A DELETE needs an erasure request in progress: events_erase_stream().';
END $body$;

CREATE TRIGGER events_event_append_only BEFORE UPDATE OR DELETE ON events_event
    FOR EACH ROW EXECUTE FUNCTION events_refuse_change();
ALTER TABLE events_event ENABLE ALWAYS TRIGGER events_event_append_only;

CREATE FUNCTION events_erase_stream(erased uuid, request uuid, at timestamptz)
    RETURNS integer LANGUAGE plpgsql AS $body$
DECLARE
    gone integer;
BEGIN
    IF NOT EXISTS (
        SELECT FROM customers_datasubjectrequest AS r
        WHERE r.id = request AND r.pseudonym = erased AND r.status = 'in_progress'
    ) THEN
        RAISE EXCEPTION 'request % is not an erasure in progress for this stream', request
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM set_config('dtoc.erasure_request', request::text, true);
    DELETE FROM events_event WHERE stream = erased;
    GET DIAGNOSTICS gone = ROW_COUNT;
    PERFORM set_config('dtoc.erasure_request', '', true);
    DELETE FROM events_stream WHERE stream = erased;
    INSERT INTO events_closedstream (stream_sha256, events, closed_at)
        VALUES (sha256(uuid_send(erased)), gone, at)
        ON CONFLICT (stream_sha256) DO UPDATE SET events = events_closedstream.events + gone;
    RETURN gone;
END $body$;
"""

PARTITION = """
CREATE TABLE events_event_{n:02} PARTITION OF events_event
    FOR VALUES WITH (MODULUS {of}, REMAINDER {n});
"""

GUARD = """
CREATE TRIGGER events_event_no_truncate BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION events_refuse_change();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER events_event_no_truncate;
ALTER TABLE {table} ENABLE ALWAYS TRIGGER events_event_append_only;
"""

REVERSE = """
DROP TABLE events_event;
DROP FUNCTION events_erase_stream(uuid, uuid, timestamptz);
DROP FUNCTION events_refuse_change();
"""


def forward_sql() -> str:
    """Table, partitions, functions, and a guard on the parent and on each partition."""
    numbers = range(PARTITIONS)
    partitions = "".join(PARTITION.format(n=n, of=PARTITIONS) for n in numbers)
    tables = ["events_event", *(f"events_event_{n:02}" for n in numbers)]
    guards = "".join(GUARD.format(table=table) for table in tables)
    return TABLE + partitions + FUNCTIONS + guards


class Migration(migrations.Migration):
    dependencies = [("events", "0001_initial"), ("customers", "0001_initial")]

    operations = [migrations.RunSQL(forward_sql(), REVERSE)]

"""The feed gets epochs: transaction ids start anew where a dump is restored or a replica takes over.

``events_feed_identity()`` names what the ids belong to: the cluster (its identifier), its history
(the timeline, which every promotion and every recovery to a point in time raises), the database and
the table (a dump restored into the same cluster makes new ones).
``events_current_epoch()`` refuses where that is no longer what it was. Appending and the feed both
ask it, so that nothing is written or read under ids that mean something else. Its error is of the
class that clients treat as "the database is away, try again".
"""

from django.db import migrations, models

TABLE = """
ALTER TABLE events_event ADD COLUMN epoch integer NOT NULL DEFAULT 1;  -- rewrites no row
ALTER TABLE events_event ALTER COLUMN epoch DROP DEFAULT;  -- whoever forgets it is refused
DROP INDEX events_event_feed;
CREATE INDEX events_event_feed ON events_event (epoch, txid, position);

CREATE TABLE events_feedepoch (
    epoch integer PRIMARY KEY CHECK (epoch > 0),
    identity text NOT NULL,
    began_at timestamptz NOT NULL,
    complete_txid bigint NOT NULL
);

CREATE FUNCTION events_feed_identity() RETURNS text LANGUAGE sql STABLE AS $body$
    SELECT concat(
        'cluster ', (SELECT system_identifier FROM pg_control_system()),
        -- pg_control_checkpoint() tells of a promotion only after the next checkpoint.
        ' timeline ', CASE WHEN pg_is_in_recovery()
            THEN (SELECT timeline_id FROM pg_control_checkpoint())
            ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer
        END,
        ' database ', (SELECT oid FROM pg_database WHERE datname = current_database()),
        ' table ', 'events_event'::regclass::oid
    )
$body$;

-- Seconds since 2025: of two restores of one dump, each gets a number of its own.
CREATE FUNCTION events_next_epoch(last integer) RETURNS integer LANGUAGE sql VOLATILE AS $body$
    SELECT greatest(
        last + 1, extract(epoch FROM clock_timestamp() - timestamptz '2025-01-01 00:00+00')::integer
    )
$body$;

CREATE FUNCTION events_current_epoch() RETURNS integer LANGUAGE plpgsql STABLE AS $body$
DECLARE
    newest events_feedepoch;
BEGIN
    SELECT * INTO newest FROM events_feedepoch ORDER BY epoch DESC LIMIT 1;
    IF newest.identity IS DISTINCT FROM events_feed_identity() THEN
        RAISE EXCEPTION 'the feed epoch belongs to another cluster'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'The database was restored or moved: run manage.py raise_feed_epoch.';
    END IF;
    RETURN newest.epoch;
END $body$;

INSERT INTO events_feedepoch (epoch, identity, began_at, complete_txid) SELECT
    CASE WHEN EXISTS (SELECT FROM events_event) THEN 1 ELSE events_next_epoch(0) END,
    events_feed_identity(), date_trunc('milliseconds', now()),
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
"""
REVERSE = """
DROP FUNCTION events_current_epoch();
DROP FUNCTION events_next_epoch(integer);
DROP FUNCTION events_feed_identity();
DROP TABLE events_feedepoch;
DROP INDEX events_event_feed;
ALTER TABLE events_event DROP COLUMN epoch;
CREATE INDEX events_event_feed ON events_event (txid, position);
"""


class Migration(migrations.Migration):
    dependencies = [("events", "0003_custom_types")]

    operations = [
        migrations.RunSQL(TABLE, REVERSE),
        migrations.CreateModel(
            name="FeedEpoch",
            fields=[
                ("epoch", models.IntegerField(primary_key=True, serialize=False)),
                ("identity", models.TextField()),
                ("began_at", models.DateTimeField()),
                ("complete_txid", models.BigIntegerField()),
            ],
            options={"db_table": "events_feedepoch", "managed": False},
        ),
    ]

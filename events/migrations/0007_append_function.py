"""Appending and counting as functions of the database: one round trip each, plans that are kept.

Planning the statement over sixteen partitions costs more than running it for a single event. Half
of the time of a single event went into the set-based statement, so that one has a way of its own;
`test_one_by_one_and_at_once_store_and_answer_the_same` holds both ways to the same answers.
"""

from django.db import migrations, models

# Its code is ours; `events.services.append` makes an AppendOutOfOrder of it.
OVERTAKEN = """
CREATE FUNCTION events_overtaken(stream uuid) RETURNS integer LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION '%', stream USING ERRCODE = 'DT001';
END $body$;
"""

# Writers of the same counter would queue for its row until the other's commit, hence the slots.
# "received" comes first: everybody who counts takes that row before any other, so that two writers
# who share a slot never wait for each other in a circle.
COUNT = """
CREATE FUNCTION events_count(origin text, outcomes text[], reasons text[], counts bigint[])
RETURNS void LANGUAGE plpgsql AS $body$
BEGIN
    INSERT INTO events_intake AS x (source, outcome, reason, slot, count)
    SELECT origin, v.outcome, v.reason, pg_backend_pid() % 16, v.count
    FROM unnest(outcomes, reasons, counts) AS v(outcome, reason, count)
    ORDER BY v.outcome <> 'received', 2, 3
    ON CONFLICT (source, outcome, reason, slot) DO UPDATE SET count = x.count + EXCLUDED.count;
END $body$;
"""

# For the admin's list of outliers.
INDEX = """
CREATE INDEX events_event_outlier ON events_event (epoch, txid, position)
    WHERE metadata @> '{"outlier": true}';
"""

# Locks come first, so that the transaction has no id yet while it waits; each statement of the
# function has a snapshot of its own, so the next one shows whatever an earlier holder committed.
# json_to_recordset is estimated at 100 rows, which keeps the planner on index lookups however large
# the tables are; no two of the parts are joined with each other, because the same estimate would
# make that a nested loop over the whole batch. Where `origin` is not NULL, what became of the
# events is added to the counters of that source.
APPEND = """
CREATE FUNCTION events_append(
    rows json, at timestamptz, lock_class integer, slots integer[], origin text
) RETURNS TABLE (status text, stream_version integer, recorded timestamptz) LANGUAGE plpgsql
-- A plan may be made while the tables are empty and kept while they grow: index lookups, always.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $body$
#variable_conflict use_column
DECLARE
    -- An import registers customers as of their first event; recorded is never that early.
    moment timestamptz := greatest(at, date_trunc('milliseconds', clock_timestamp()));
    now_epoch integer;
BEGIN
    PERFORM pg_advisory_xact_lock(lock_class, slot) FROM unnest(slots) AS slot;
    now_epoch := events_current_epoch();  -- after the locks: raising it takes all of them
    IF json_array_length(rows) = 1 THEN
        RETURN QUERY SELECT * FROM events_append_one(rows -> 0, moment, now_epoch, origin);
        RETURN;
    END IF;
    RETURN QUERY
    WITH sent AS MATERIALIZED (
        SELECT *, first_value(n) OVER once = n AS leads,
            (t, v, o, d) = (first_value(t) OVER once, first_value(v) OVER once,
                            first_value(o) OVER once, first_value(d) OVER once) AS repeats
        FROM json_to_recordset(rows) AS r(
            n int, s uuid, e uuid, t text, v smallint, o timestamptz, d jsonb, m jsonb, h smallint,
            i text, q float8, w float8
        )
        WINDOW once AS (PARTITION BY s, e ORDER BY n)
    ), met AS MATERIALIZED (
        SELECT sent.*, old.version AS stored, gone.events IS NOT NULL AS closed,
            (old.type, old.schema_version, old.occurred_at, old.data) = (t, v, o, d) AS same,
            coalesce(head.version, 0) AS base,
            coalesce(head.last_txid > pg_current_xact_id()::text::bigint, false) AS overtaken,
            leads AND old.version IS NULL AND gone.events IS NULL AS fresh
        FROM sent
        LEFT JOIN LATERAL (
            SELECT * FROM events_event AS x WHERE x.stream = s AND x.event_id = e OFFSET 0
        ) AS old ON true
        LEFT JOIN events_stream AS head ON head.stream = s
        LEFT JOIN events_closedstream AS gone ON gone.stream_sha256 = sha256(uuid_send(s))
    ), numbered AS MATERIALIZED (
        SELECT *, CASE WHEN fresh AND overtaken THEN events_overtaken(s) WHEN fresh THEN
            base + count(*) FILTER (WHERE fresh) OVER (PARTITION BY s ORDER BY n)
        END AS next
        FROM met
    ), answered AS MATERIALIZED (
        SELECT n, s, e, CASE
            WHEN closed THEN 'closed'
            WHEN fresh THEN 'accepted'
            WHEN CASE WHEN stored IS NULL THEN repeats ELSE same END THEN 'duplicate'
            ELSE 'conflict' END AS status,
            coalesce(stored, max(next) OVER (PARTITION BY s, e), 0)::integer AS version
        FROM numbered
    ), moved AS (
        INSERT INTO events_stream (stream, version, advanced_version, shard, last_txid)
        SELECT s, max(next), 0, min(h), pg_current_xact_id()::text::bigint
        FROM numbered WHERE fresh GROUP BY s ORDER BY s
        ON CONFLICT (stream) DO UPDATE
            SET version = EXCLUDED.version, last_txid = EXCLUDED.last_txid
    ), kept AS (
        INSERT INTO events_event (
            stream, version, event_id, type, schema_version, occurred_at, recorded_at, data,
            metadata, epoch
        )
        SELECT s, next, e, t, v, o, moment, d, coalesce(m, '{}'), now_epoch
        FROM numbered WHERE fresh ORDER BY n
    ), seen AS (
        INSERT INTO events_skuday AS x (sku, day, slot, n, q, qq, v, vv)
        SELECT i, (o AT TIME ZONE 'UTC')::date, pg_backend_pid() % 16, count(*),
            sum(q), sum(q * q), sum(w), sum(w * w)
        FROM numbered WHERE fresh AND i IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (sku, day, slot) DO UPDATE SET n = x.n + EXCLUDED.n,
            q = x.q + EXCLUDED.q, qq = x.qq + EXCLUDED.qq,
            v = x.v + EXCLUDED.v, vv = x.vv + EXCLUDED.vv
    ), counted AS (
        INSERT INTO events_intake AS x (source, outcome, reason, slot, count)
        SELECT origin, c.outcome, c.reason, pg_backend_pid() % 16, count(*)
        FROM answered
        CROSS JOIN LATERAL (
            SELECT 'received', '' UNION ALL SELECT * FROM events_outcome(answered.status)
        ) AS c(outcome, reason)
        WHERE origin IS NOT NULL GROUP BY 2, 3 ORDER BY c.outcome <> 'received', 2, 3
        ON CONFLICT (source, outcome, reason, slot) DO UPDATE SET count = x.count + EXCLUDED.count
    ), settled AS (  -- as events_settle does; by their keys, whatever the planner thinks
        UPDATE events_quarantinedevent AS q SET
            status = 'replayed', body = '', subject_digest = NULL, stream = found.s,
            stored_event_id = found.e, stored_version = found.version, resolved_at = moment,
            resolved_by = origin
        FROM (
            SELECT answered.*, waiting.id FROM answered CROSS JOIN LATERAL (
                SELECT w.id FROM events_quarantinedevent AS w
                WHERE w.source = origin AND w.event_id = answered.e AND w.resolved_at IS NULL
                OFFSET 0
            ) AS waiting
            WHERE answered.status IN ('accepted', 'duplicate') AND EXISTS (
                SELECT FROM events_quarantinedevent AS any_of_it
                WHERE any_of_it.source = origin AND any_of_it.status = 'waiting'
            )
        ) AS found
        WHERE q.id = found.id
    )
    SELECT answered.status, version, moment FROM answered ORDER BY n;
END $body$;
"""

# The same for an event that comes alone, step by step: each lookup meets one partition only.
APPEND_ONE = """
CREATE FUNCTION events_append_one(
    event json, moment timestamptz, now_epoch integer, origin text
) RETURNS TABLE (status text, stream_version integer, recorded timestamptz) LANGUAGE plpgsql
AS $body$
#variable_conflict use_column
DECLARE
    sent record;
    head events_stream;
    old record;
BEGIN
    SELECT * INTO sent FROM json_to_record(event) AS r(
        s uuid, e uuid, t text, v smallint, o timestamptz, d jsonb, m jsonb, h smallint,
        i text, q float8, w float8
    );
    SELECT x.version, (x.type, x.schema_version, x.occurred_at, x.data)
            = (sent.t, sent.v, sent.o, sent.d) AS same
        INTO old FROM events_event AS x WHERE x.stream = sent.s AND x.event_id = sent.e;
    IF EXISTS (
        SELECT FROM events_closedstream AS x WHERE x.stream_sha256 = sha256(uuid_send(sent.s))
    ) THEN
        status := 'closed';
        stream_version := 0;
    ELSIF old.version IS NOT NULL THEN
        status := CASE WHEN old.same THEN 'duplicate' ELSE 'conflict' END;
        stream_version := old.version;
    ELSE
        SELECT * INTO head FROM events_stream AS x WHERE x.stream = sent.s;
        IF head.last_txid > pg_current_xact_id()::text::bigint THEN
            PERFORM events_overtaken(sent.s);
        END IF;
        status := 'accepted';
        stream_version := coalesce(head.version, 0) + 1;
        INSERT INTO events_stream (stream, version, advanced_version, shard, last_txid)
        VALUES (sent.s, stream_version, 0, sent.h, pg_current_xact_id()::text::bigint)
        ON CONFLICT (stream) DO UPDATE
            SET version = EXCLUDED.version, last_txid = EXCLUDED.last_txid;
        INSERT INTO events_event (
            stream, version, event_id, type, schema_version, occurred_at, recorded_at, data,
            metadata, epoch
        ) VALUES (
            sent.s, stream_version, sent.e, sent.t, sent.v, sent.o, moment, sent.d,
            coalesce(sent.m, '{}'), now_epoch
        );
        IF sent.i IS NOT NULL THEN
            INSERT INTO events_skuday AS x (sku, day, slot, n, q, qq, v, vv)
            VALUES (
                sent.i, (sent.o AT TIME ZONE 'UTC')::date, pg_backend_pid() % 16, 1,
                sent.q, sent.q * sent.q, sent.w, sent.w * sent.w
            )
            ON CONFLICT (sku, day, slot) DO UPDATE SET n = x.n + EXCLUDED.n,
                q = x.q + EXCLUDED.q, qq = x.qq + EXCLUDED.qq,
                v = x.v + EXCLUDED.v, vv = x.vv + EXCLUDED.vv;
        END IF;
    END IF;
    IF origin IS NOT NULL THEN
        IF status IN ('accepted', 'duplicate') THEN
            UPDATE events_quarantinedevent AS q SET  -- as events_settle does
                status = 'replayed', body = '', subject_digest = NULL, stream = sent.s,
                stored_event_id = sent.e, stored_version = stream_version, resolved_at = moment,
                resolved_by = origin
            WHERE q.source = origin AND q.event_id = sent.e AND q.resolved_at IS NULL;
        END IF;
        PERFORM events_count(origin, ARRAY['received', outcome], ARRAY['', reason], ARRAY[1, 1])
            FROM events_outcome(status);
    END IF;
    recorded := moment;
    RETURN NEXT;
END $body$;
"""

# How what `events_append` answers is counted.
OUTCOME = """
CREATE FUNCTION events_outcome(status text, OUT outcome text, OUT reason text)
LANGUAGE sql IMMUTABLE AS $body$
    SELECT CASE WHEN status IN ('accepted', 'duplicate') THEN status ELSE 'refused' END,
        CASE status WHEN 'conflict' THEN 'event_id_conflict'
            WHEN 'closed' THEN 'subject_suppressed' ELSE '' END
$body$;
"""
REVERSE = """
DROP INDEX events_event_outlier;
DROP FUNCTION events_append(json, timestamptz, integer, integer[], text);
DROP FUNCTION events_append_one(json, timestamptz, integer, text);
DROP FUNCTION events_outcome(text);
DROP FUNCTION events_count(text, text[], text[], bigint[]);
DROP FUNCTION events_overtaken(uuid);
"""


class Migration(migrations.Migration):
    dependencies = [("events", "0006_quarantine")]

    operations = [
        migrations.CreateModel(
            name="SkuDay",
            fields=[
                # In the order of its bytes: nobody sorts items by the rules of a language.
                ("sku", models.CharField(max_length=64, db_collation="C")),
                ("day", models.DateField()),
                ("slot", models.SmallIntegerField()),
                ("n", models.IntegerField()),
                ("q", models.FloatField()),
                ("qq", models.FloatField()),
                ("v", models.FloatField()),
                ("vv", models.FloatField()),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "sku", "day", "slot", blank=True, editable=False,
                        primary_key=True, serialize=False,
                    ),
                ),
            ],
        ),
        migrations.RunSQL(
            INDEX + OVERTAKEN + COUNT + OUTCOME + APPEND_ONE + APPEND, REVERSE
        ),
    ]

"""An event that comes alone is resolved, locked, stored and counted by one function.

It costs what its parts cost, so each part was measured: looking for the event before storing it
locked all sixteen partitions for nothing, the epoch read the cluster's control file from disk, and
the counters were made into arrays and sorted. All ways are held to one outcome by
`test_one_by_one_and_at_once_store_and_answer_the_same` (tests/events/test_model.py) and
`test_alone_or_in_a_batch_the_same_events_leave_the_same_behind` (tests/events/test_alone.py).
"""

import zlib
from importlib import import_module

from django.db import migrations

before = import_module("events.migrations.0007_append_function")
epochs = import_module("events.migrations.0004_feed_epoch")

PSEUDONYM_BITS = 128
SLOT_BITS = 10


def slot_of_zero() -> int:
    """The lock slot of the pseudonym whose bits are all 0."""
    return zlib.crc32(bytes(16)) % 2**SLOT_BITS


def parity() -> str:
    """The lock slot of a pseudonym, whose bits are ``b``, as an expression of SQL.

    A CRC is linear: each of its bits tells whether the number of ones among certain bits of the
    pseudonym is odd. Which ones, it says itself when it is asked about pseudonyms of a single one.
    """
    masks = [0] * SLOT_BITS
    for place in range(PSEUDONYM_BITS):
        alone = 1 << place
        turned = zlib.crc32(alone.to_bytes(16, "big")) ^ zlib.crc32(bytes(16))
        for bit in range(SLOT_BITS):
            masks[bit] |= alone * (turned >> bit & 1)
    odd = (f"(bit_count(b & X'{mask:032x}') & 1) << {bit}" for bit, mask in enumerate(masks))
    return " | ".join(f"({one})" for one in odd)


# `common.locks.slot_of`; a test compares the two.
SLOT = f"""
CREATE FUNCTION events_slot(stream uuid) RETURNS integer LANGUAGE plpgsql IMMUTABLE
AS $body$
DECLARE
    b bit(128) := ('x' || replace(stream::text, '-', ''))::bit(128);
BEGIN
    RETURN ({parity()})::integer # {slot_of_zero()};
END $body$;
"""

# What the ids belong to stays the same for a session once it may write: a cluster and a database
# are those of its server, and the timeline grows only where a recovery ends. The table's number
# and the newest epoch are looked at each time, because another session may change them.
EPOCH = """
CREATE OR REPLACE FUNCTION events_current_epoch() RETURNS integer LANGUAGE plpgsql STABLE
AS $body$
DECLARE
    newest events_feedepoch;
    identity text := current_setting('dtoc.feed_identity', true);
BEGIN
    SELECT * INTO newest FROM events_feedepoch ORDER BY epoch DESC LIMIT 1;
    IF newest.identity = identity
        AND split_part(identity, ' table ', 2) = 'events_event'::regclass::oid::text
    THEN
        RETURN newest.epoch;
    END IF;
    identity := events_feed_identity();
    IF newest.identity IS DISTINCT FROM identity THEN
        RAISE EXCEPTION 'the feed epoch belongs to another cluster'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'The database was restored or moved: run manage.py raise_feed_epoch.';
    END IF;
    IF NOT pg_is_in_recovery() THEN
        PERFORM set_config('dtoc.feed_identity', identity, false);
    END IF;
    RETURN newest.epoch;
END $body$;
"""

# Both counters are there already, except for the first event of a source in a slot.
COUNT_ONE = """
CREATE FUNCTION events_count_one(origin text, one_outcome text, why text) RETURNS integer
LANGUAGE plpgsql AS $body$
DECLARE
    mine integer := pg_backend_pid() % 16;
BEGIN
    UPDATE events_intake AS x SET count = x.count + 1
    WHERE x.source = origin AND x.outcome = 'received' AND x.reason = '' AND x.slot = mine;
    IF NOT FOUND THEN
        PERFORM events_count(origin, ARRAY['received', one_outcome], ARRAY['', why], ARRAY[1, 1]);
        RETURN 1;
    END IF;
    UPDATE events_intake AS x SET count = x.count + 1
    WHERE x.source = origin AND x.outcome = one_outcome AND x.reason = why AND x.slot = mine;
    IF NOT FOUND THEN
        PERFORM events_count(origin, ARRAY[one_outcome], ARRAY[why], ARRAY[1]);
    END IF;
    RETURN 1;
END $body$;
"""

# Tried before it is looked for: the unique index of the one partition says whether it is new.
APPEND_SINGLE = """
CREATE FUNCTION events_append_single(
    s uuid, e uuid, t text, v smallint, o timestamptz, d jsonb, m jsonb, h smallint,
    i text, q float8, w float8, moment timestamptz, now_epoch integer, origin text,
    OUT status text, OUT stream_version integer
) LANGUAGE plpgsql AS $body$
#variable_conflict use_variable
DECLARE
    head record;
    old record;
    is_new boolean := false;
    counted integer;
BEGIN
    SELECT x.version, x.last_txid INTO head FROM events_stream AS x WHERE x.stream = s;
    IF EXISTS (
        SELECT FROM events_closedstream AS x WHERE x.stream_sha256 = sha256(uuid_send(s))
    ) THEN
        status := 'closed';
        stream_version := 0;
    ELSE
        IF coalesce(head.last_txid, 0) <= pg_current_xact_id()::text::bigint THEN
            stream_version := coalesce(head.version, 0) + 1;
            INSERT INTO events_event (
                stream, version, event_id, type, schema_version, occurred_at, recorded_at, data,
                metadata, epoch
            ) VALUES (s, stream_version, e, t, v, o, moment, d, coalesce(m, '{}'), now_epoch)
            ON CONFLICT (stream, event_id) DO NOTHING;
            is_new := FOUND;
        END IF;
        IF is_new THEN
            status := 'accepted';
            INSERT INTO events_stream (stream, version, advanced_version, shard, last_txid)
            VALUES (s, stream_version, 0, h, pg_current_xact_id()::text::bigint)
            ON CONFLICT (stream) DO UPDATE
                SET version = EXCLUDED.version, last_txid = EXCLUDED.last_txid;
            IF i IS NOT NULL THEN
                INSERT INTO events_skuday AS x (sku, day, slot, n, q, qq, v, vv)
                VALUES (
                    i, (o AT TIME ZONE 'UTC')::date, pg_backend_pid() % 16, 1, q, q * q, w, w * w
                )
                ON CONFLICT (sku, day, slot) DO UPDATE SET n = x.n + EXCLUDED.n,
                    q = x.q + EXCLUDED.q, qq = x.qq + EXCLUDED.qq,
                    v = x.v + EXCLUDED.v, vv = x.vv + EXCLUDED.vv;
            END IF;
        ELSE
            SELECT x.version, (x.type, x.schema_version, x.occurred_at, x.data)
                    = (t, v, o, d) AS same
                INTO old FROM events_event AS x WHERE x.stream = s AND x.event_id = e;
            IF NOT FOUND THEN
                PERFORM events_overtaken(s);
            END IF;
            status := CASE WHEN old.same THEN 'duplicate' ELSE 'conflict' END;
            stream_version := old.version;
        END IF;
    END IF;
    IF origin IS NOT NULL THEN
        IF status IN ('accepted', 'duplicate') THEN
            UPDATE events_quarantinedevent AS x SET  -- as events_settle does
                status = 'replayed', body = '', subject_digest = NULL, stream = s,
                stored_event_id = e, stored_version = stream_version, resolved_at = moment,
                resolved_by = origin
            WHERE x.source = origin AND x.event_id = e AND x.resolved_at IS NULL;
            counted := events_count_one(origin, status, '');
        ELSE
            PERFORM events_count_one(origin, x.outcome, x.reason) FROM events_outcome(status) AS x;
        END IF;
    END IF;
END $body$;
"""

APPEND_ONE = """
CREATE OR REPLACE FUNCTION events_append_one(
    event json, moment timestamptz, now_epoch integer, origin text
) RETURNS TABLE (status text, stream_version integer, recorded timestamptz) LANGUAGE plpgsql
AS $body$
BEGIN
    RETURN QUERY
    SELECT x.status, x.stream_version, moment
    FROM json_to_record(event) AS r(
        s uuid, e uuid, t text, v smallint, o timestamptz, d jsonb, m jsonb, h smallint,
        i text, q float8, w float8
    )
    CROSS JOIN LATERAL events_append_single(
        r.s, r.e, r.t, r.v, r.o, r.d, r.m, r.h, r.i, r.q, r.w, moment, now_epoch, origin
    ) AS x;
END $body$;
"""

# No stream in the answer: nobody is known by this digest, and nothing was written. The lock comes
# before the first write and before the first look at the stream, as in `events_append`.
APPEND_KNOWN = """
CREATE FUNCTION events_append_known(
    digest bytea, e uuid, t text, v smallint, o timestamptz, d jsonb, m jsonb,
    i text, q float8, w float8, at timestamptz, lock_class integer, origin text,
    OUT stream uuid, OUT status text, OUT stream_version integer, OUT recorded timestamptz
) LANGUAGE plpgsql
-- A plan may be made while the tables are empty and kept while they grow: index lookups, always.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $body$
DECLARE
    slot integer;
    answer record;
BEGIN
    stream := customers_known(digest);
    IF stream IS NULL THEN
        RETURN;
    END IF;
    slot := events_slot(stream);
    PERFORM pg_advisory_xact_lock(lock_class, slot);
    recorded := greatest(at, date_trunc('milliseconds', clock_timestamp()));
    answer := events_append_single(
        stream, e, t, v, o, d, m, (slot % 16)::smallint, i, q, w, recorded,
        events_current_epoch(), origin
    );
    status := answer.status;
    stream_version := answer.stream_version;
END $body$;
"""

# Asked for whenever a process meets an item for the first time in a minute.
SKU_DAYS = """
CREATE FUNCTION events_sku_days(skus text[], since integer[]) RETURNS TABLE (
    sku varchar, day integer, n integer, q float8, qq float8, v float8, vv float8
) LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $body$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT x.sku, x.day - date '1970-01-01', sum(x.n)::integer, sum(x.q), sum(x.qq), sum(x.v),
        sum(x.vv)
    FROM unnest(skus, since) AS asked(sku, day)
    JOIN events_skuday AS x ON x.sku = asked.sku AND x.day >= date '1970-01-01' + asked.day
    GROUP BY x.sku, x.day;
END $body$;
"""


def replacing(function: str) -> str:
    """The same function in the place of the one there is."""
    return function.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")


def old_epoch() -> str:
    """`events_current_epoch` as it was before."""
    start = epochs.TABLE.index("CREATE FUNCTION events_current_epoch")
    return replacing(epochs.TABLE[start : epochs.TABLE.index("$body$;", start) + len("$body$;")])


REVERSE = f"""
DROP FUNCTION events_sku_days(text[], integer[]);
DROP FUNCTION events_append_known(
    bytea, uuid, text, smallint, timestamptz, jsonb, jsonb, text, float8, float8, timestamptz,
    integer, text
);
{replacing(before.APPEND_ONE)}
DROP FUNCTION events_append_single(
    uuid, uuid, text, smallint, timestamptz, jsonb, jsonb, smallint, text, float8, float8,
    timestamptz, integer, text
);
DROP FUNCTION events_count_one(text, text, text);
{old_epoch()}
DROP FUNCTION events_slot(uuid);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("events", "0007_append_function"),
        ("customers", "0003_known_function"),
    ]

    operations = [
        migrations.RunSQL(
            SLOT + EPOCH + COUNT_ONE + APPEND_SINGLE + APPEND_ONE + APPEND_KNOWN + SKU_DAYS, REVERSE
        )
    ]

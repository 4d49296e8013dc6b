"""A single twin is brought up to date by two statements, and nothing is held between them.

``twins_look`` reads all that the fold needs, in one snapshot and without a lock. ``twins_settle``
takes the locks that a claim takes, in the same order, and stores the result only where nothing has
moved since: the same model is active, the stream is still there and not parked, and the twin is the
row that was read. Otherwise it stores nothing, and the caller claims the stream as a worker does.
"""

from importlib import import_module

from django.db import migrations

CLAIM = import_module("twins.migrations.0007_claim_function").CLAIM

# Without an active model, ``model`` is null; where the stream is parked or has nothing unseen,
# ``ids`` is. ``token`` names one state of the twin's row: every write gives it another.
LOOK = """
CREATE FUNCTION twins_look(
    asked uuid, OUT model uuid, OUT market bigint, OUT token xid, OUT seen integer,
    OUT snapshot integer, OUT h bytea, OUT c bytea, OUT items bytea, OUT memory text,
    OUT waits_since timestamptz, OUT waiting integer, OUT versions integer[], OUT ids text[],
    OUT types text[], OUT schemas smallint[], OUT moments bigint[], OUT datas text[],
    OUT technicals boolean[], OUT outliers boolean[]
) LANGUAGE plpgsql STABLE
SET enable_seqscan = off
AS $body$
#variable_conflict use_variable
BEGIN
    SELECT x.id INTO model FROM twins_modelversion AS x WHERE x.state = 'active';
    IF model IS NULL OR EXISTS (
        SELECT FROM twins_parkedstream AS x
        WHERE x.model_version_id = model AND x.pseudonym = asked
    ) OR NOT EXISTS (
        SELECT FROM events_stream AS x WHERE x.stream = asked AND x.version > x.advanced_version
    ) THEN
        RETURN;
    END IF;
    SELECT x.xmin, x.stream_version, x.snapshot_version, x.h, x.c, x.items, x.memory::text,
        x.waits_since, x.waiting_events
    INTO token, seen, snapshot, h, c, items, memory, waits_since, waiting
    FROM twins_twin AS x WHERE x.pseudonym = asked AND x.model_version_id = model;
    market := (
        SELECT x.id FROM twins_marketsnapshot AS x WHERE x.model_version_id = model
        ORDER BY x.day DESC LIMIT 1
    );
    SELECT * INTO versions, ids, types, schemas, moments, datas, technicals, outliers
    FROM events_unseen(asked, coalesce(seen, 0));
END $body$;
"""

# Returns the last version of the stream, or null where something has moved. The pointer comes
# before the look at the model, and the stream before the twin, as everywhere.
SETTLE = """
CREATE FUNCTION twins_settle(
    asked uuid, model uuid, folded integer, clock timestamptz, h bytea, c bytea, items bytea,
    memory text, forecast text, mode text, snapshot integer, since timestamptz, waiting integer,
    at timestamptz, token xid, lock_class integer, pointer integer
) RETURNS integer LANGUAGE plpgsql
SET enable_seqscan = off
AS $body$
#variable_conflict use_variable
DECLARE
    last integer;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(lock_class, pointer);
    PERFORM set_config('synchronous_commit', 'off', true);  -- as in `twins.pointer`
    IF NOT EXISTS (
        SELECT FROM twins_modelversion AS x WHERE x.id = model AND x.state = 'active'
    ) THEN
        RETURN NULL;
    END IF;
    SELECT x.version INTO last FROM events_stream AS x WHERE x.stream = asked FOR UPDATE;
    IF NOT FOUND OR EXISTS (
        SELECT FROM twins_parkedstream AS x
        WHERE x.model_version_id = model AND x.pseudonym = asked
    ) THEN
        RETURN NULL;
    END IF;
    IF token IS NULL THEN
        INSERT INTO twins_twin AS x (pseudonym, model_version_id, stream_version, clock_at, h, c,
            items, memory, forecast, fold_mode, snapshot_version, waits_since, waiting_events,
            updated_at)
        VALUES (asked, model, folded, clock, h, c, items, memory::jsonb, forecast::jsonb, mode,
            snapshot, since, waiting, at)
        ON CONFLICT ON CONSTRAINT one_twin_per_model DO NOTHING;
    ELSE
        UPDATE twins_twin AS x SET stream_version = folded, clock_at = clock, h = h, c = c,
            items = items, memory = memory::jsonb, forecast = forecast::jsonb, fold_mode = mode,
            snapshot_version = snapshot, waits_since = since, waiting_events = waiting,
            updated_at = at
        WHERE x.pseudonym = asked AND x.model_version_id = model AND x.xmin = token;
    END IF;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    UPDATE events_stream AS x SET advanced_version = least(folded, x.version)
    WHERE x.stream = asked AND x.advanced_version < folded;
    RETURN last;
END $body$;
"""


class Migration(migrations.Migration):
    dependencies = [("twins", "0007_claim_function")]

    operations = [
        migrations.RunSQL(LOOK, "DROP FUNCTION twins_look(uuid)"),
        migrations.RunSQL(SETTLE, "DROP FUNCTION twins_settle"),
        migrations.RunSQL("DROP FUNCTION twins_claim(uuid, integer, integer)", CLAIM),
    ]

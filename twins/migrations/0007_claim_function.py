"""All that is needed to bring one twin up to date, claimed and read by one function.

For the call that stores an event and answers the new twin. Every statement of the function sees
what was committed when it began, so what follows the locks is as new as if each were sent alone.
"""

from django.db import migrations

# The lock comes before the look at the pointer, and the claim before the look at the twin. Without
# an active model, ``model`` is null; where the twin is parked or has seen everything, ``claimed``.
CLAIM = """
CREATE FUNCTION twins_claim(
    asked uuid, lock_class integer, pointer integer, OUT model uuid, OUT market bigint,
    OUT claimed integer, OUT seen integer, OUT snapshot integer, OUT h bytea, OUT c bytea,
    OUT items bytea, OUT memory text, OUT waits_since timestamptz, OUT waiting integer,
    OUT versions integer[], OUT ids text[], OUT types text[], OUT schemas smallint[],
    OUT moments bigint[], OUT datas text[], OUT technicals boolean[], OUT outliers boolean[]
) LANGUAGE plpgsql
SET enable_seqscan = off
AS $body$
#variable_conflict use_variable
DECLARE
    head record;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(lock_class, pointer);
    PERFORM set_config('synchronous_commit', 'off', true);  -- as in `twins.pointer`
    SELECT x.id INTO model FROM twins_modelversion AS x WHERE x.state = 'active';
    IF model IS NULL OR EXISTS (
        SELECT FROM twins_parkedstream AS x
        WHERE x.model_version_id = model AND x.pseudonym = asked
    ) THEN
        RETURN;
    END IF;
    SELECT x.version, x.advanced_version INTO head FROM events_stream AS x
    WHERE x.stream = asked FOR UPDATE;
    IF NOT FOUND OR head.version <= head.advanced_version THEN
        RETURN;
    END IF;
    claimed := head.version;
    SELECT x.stream_version, x.snapshot_version, x.h, x.c, x.items, x.memory::text, x.waits_since,
        x.waiting_events
    INTO seen, snapshot, h, c, items, memory, waits_since, waiting
    FROM twins_twin AS x WHERE x.pseudonym = asked AND x.model_version_id = model;
    market := (
        SELECT x.id FROM twins_marketsnapshot AS x WHERE x.model_version_id = model
        ORDER BY x.day DESC LIMIT 1
    );
    SELECT * INTO versions, ids, types, schemas, moments, datas, technicals, outliers
    FROM events_unseen(asked, coalesce(seen, 0));
END $body$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("twins", "0006_fidelity"),
        ("events", "0010_unseen_function"),
    ]

    operations = [migrations.RunSQL(CLAIM, "DROP FUNCTION twins_claim(uuid, integer, integer)")]

"""What a twin has not seen of its stream, in one row: a function for the one that claims a twin.

A plan that is kept prunes the partitions of the event table when it runs; a statement that is
planned for each call plans for all sixteen.
"""

from django.db import migrations

UNSEEN = """
CREATE FUNCTION events_unseen(
    asked uuid, seen integer, OUT versions integer[], OUT ids text[], OUT types text[],
    OUT schemas smallint[], OUT moments bigint[], OUT datas text[], OUT technicals boolean[],
    OUT outliers boolean[]
) LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan
AS $body$
BEGIN
    SELECT array_agg(x.version), array_agg(x.event_id::text), array_agg(x.type),
        array_agg(x.schema_version), array_agg((extract(epoch FROM x.occurred_at) * 1000)::bigint),
        array_agg(x.data::text), array_agg(x.metadata @> '{"technical": true}'),
        array_agg(x.metadata @> '{"outlier": true}')
    INTO versions, ids, types, schemas, moments, datas, technicals, outliers
    FROM (
        SELECT * FROM events_event AS e WHERE e.stream = asked AND e.version > seen
        ORDER BY e.version
    ) AS x;
END $body$;
"""


class Migration(migrations.Migration):
    dependencies = [("events", "0009_append_named")]

    operations = [migrations.RunSQL(UNSEEN, "DROP FUNCTION events_unseen(uuid, integer)")]

"""What a customer has said of being profiled and contacted: an index of those events, and a look.

Decisions about one customer ask this each time, and a stream may be long. The index holds these
few types only. A plan that is kept prunes the partitions when it runs.
"""

from django.db import migrations

INDEX = """
CREATE INDEX events_event_said ON events_event (stream, occurred_at, version)
    WHERE type IN ('consent_granted', 'consent_withdrawn', 'unsubscribed')
"""

# The newest statement of each purpose counts, by the time of its making: true where it granted,
# false where it withdrew, null where there is none. Whoever granted marketing after unsubscribing
# from a channel has subscribed again.
SAID = """
CREATE FUNCTION events_said(
    asked uuid, OUT marketing boolean, OUT profiling boolean, OUT unsubscribed text[]
) LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan
AS $body$
DECLARE
    said record;
BEGIN
    unsubscribed := '{}';
    FOR said IN
        SELECT x.type, x.data ->> 'purpose' AS purpose, x.data ->> 'channel' AS channel
        FROM events_event AS x
        WHERE x.stream = asked
            AND x.type IN ('consent_granted', 'consent_withdrawn', 'unsubscribed')
        ORDER BY x.occurred_at, x.version
    LOOP
        IF said.type = 'unsubscribed' THEN
            unsubscribed := unsubscribed || said.channel;
        ELSIF said.purpose = 'marketing' THEN
            marketing := said.type = 'consent_granted';
            unsubscribed := CASE WHEN marketing THEN '{}' ELSE unsubscribed END;
        ELSIF said.purpose = 'profiling' THEN
            profiling := said.type = 'consent_granted';
        END IF;
    END LOOP;
END $body$;
"""


class Migration(migrations.Migration):
    dependencies = [("events", "0010_unseen_function")]

    operations = [
        migrations.RunSQL(INDEX, "DROP INDEX events_event_said"),
        migrations.RunSQL(SAID, "DROP FUNCTION events_said(uuid)"),
    ]

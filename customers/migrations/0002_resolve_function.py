"""Resolving identities as a function of the database, whose plan is kept.

Each event that comes in asks this; planning the two lookups took longer than making them.
"""

from django.db import migrations

RESOLVE = """
CREATE FUNCTION customers_resolve(asked bytea[])
RETURNS TABLE (digest bytea, customer uuid) LANGUAGE plpgsql STABLE
-- The plan is made once, perhaps while the tables are empty: index lookups, always.
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan
AS $body$
BEGIN
    RETURN QUERY
    SELECT x.digest, x.customer_id FROM customers_identity AS x WHERE x.digest = ANY(asked)
    UNION ALL
    SELECT x.digest, NULL FROM customers_suppression AS x WHERE x.digest = ANY(asked);
END $body$;
"""


class Migration(migrations.Migration):
    dependencies = [("customers", "0001_initial")]

    operations = [migrations.RunSQL(RESOLVE, "DROP FUNCTION customers_resolve(bytea[])")]

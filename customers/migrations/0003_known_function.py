"""Whose one identity is, as a function for other functions of the database.

An event that comes alone is stored by a single statement, which asks this on its way.
"""

from django.db import migrations

# A digest that is suppressed is nobody's, even where an identity were left: as in the selectors.
KNOWN = """
CREATE FUNCTION customers_known(asked bytea) RETURNS uuid LANGUAGE plpgsql STABLE
AS $body$
BEGIN
    RETURN (
        SELECT x.customer_id FROM customers_identity AS x WHERE x.digest = asked
            AND NOT EXISTS (SELECT FROM customers_suppression AS y WHERE y.digest = asked)
    );
END $body$;
"""


class Migration(migrations.Migration):
    dependencies = [("customers", "0002_resolve_function")]

    operations = [migrations.RunSQL(KNOWN, "DROP FUNCTION customers_known(bytea)")]

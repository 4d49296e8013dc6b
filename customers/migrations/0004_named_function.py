"""Whether a pseudonym is somebody's, as a function for other functions of the database."""

from django.db import migrations

# As in the selectors: who is being erased is nobody any more, and who was erased is suppressed.
NAMED = """
CREATE FUNCTION customers_named(asked uuid, suppressed bytea) RETURNS uuid LANGUAGE plpgsql STABLE
AS $body$
BEGIN
    RETURN (
        SELECT x.pseudonym FROM customers_customer AS x
        WHERE x.pseudonym = asked AND x.status <> 'erased'
            AND NOT EXISTS (SELECT FROM customers_suppression AS y WHERE y.digest = suppressed)
    );
END $body$;
"""


class Migration(migrations.Migration):
    dependencies = [("customers", "0003_known_function")]

    operations = [migrations.RunSQL(NAMED, "DROP FUNCTION customers_named(uuid, bytea)")]

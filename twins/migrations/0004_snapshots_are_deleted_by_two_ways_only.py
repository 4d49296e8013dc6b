"""Snapshots are deleted by thinning and by an erasure in progress, and in no other way.

TRUNCATE is left to the owner of the table: test runs and benchmarks empty it so.
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION twins_refuse_delete() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE
    named text := current_setting('dtoc.erasure_request', true);
BEGIN
    IF current_setting('dtoc.thinning_snapshots', true) = 'on' THEN
        RETURN OLD;
    END IF;
    IF named <> '' AND EXISTS (
        SELECT FROM customers_datasubjectrequest AS r
        WHERE r.id = named::uuid AND r.pseudonym = OLD.pseudonym AND r.status = 'in_progress'
    ) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'a snapshot stays: DELETE on % refused', TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Thinning deletes old snapshots, an erasure in progress those of its customer.';
END $body$;
CREATE TRIGGER twins_twinsnapshot_stays BEFORE DELETE ON twins_twinsnapshot
    FOR EACH ROW EXECUTE FUNCTION twins_refuse_delete();
ALTER TABLE twins_twinsnapshot ENABLE ALWAYS TRIGGER twins_twinsnapshot_stays;
"""

REVERSE = """
DROP TRIGGER twins_twinsnapshot_stays ON twins_twinsnapshot;
DROP FUNCTION twins_refuse_delete();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("twins", "0003_rewinding_and_parking"),
        ("customers", "0001_initial"),
    ]

    operations = [migrations.RunSQL(FORWARD, REVERSE)]

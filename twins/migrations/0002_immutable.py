"""Snapshots never change; of a model version only state and time of activation do."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION twins_refuse_update() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION '% is immutable: UPDATE refused', TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Take a new snapshot; an erasure deletes.';
END $body$;
CREATE TRIGGER twins_twinsnapshot_immutable BEFORE UPDATE ON twins_twinsnapshot
    FOR EACH ROW EXECUTE FUNCTION twins_refuse_update();
ALTER TABLE twins_twinsnapshot ENABLE ALWAYS TRIGGER twins_twinsnapshot_immutable;

CREATE FUNCTION twins_refuse_model_change() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF to_jsonb(NEW) - 'state' - 'activated_at' IS DISTINCT FROM to_jsonb(OLD) - 'state' - 'activated_at'
    THEN
        RAISE EXCEPTION 'model version % is immutable: UPDATE refused', OLD.id
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Only state and activated_at may change; train another version.';
    END IF;
    RETURN NEW;
END $body$;
CREATE TRIGGER twins_modelversion_immutable BEFORE UPDATE ON twins_modelversion
    FOR EACH ROW EXECUTE FUNCTION twins_refuse_model_change();
ALTER TABLE twins_modelversion ENABLE ALWAYS TRIGGER twins_modelversion_immutable;

-- A head is rewritten with every advance: room in its page keeps the new row beside the old one.
ALTER TABLE twins_twin SET (fillfactor = 70);
"""

REVERSE = """
ALTER TABLE twins_twin RESET (fillfactor);
DROP TRIGGER twins_modelversion_immutable ON twins_modelversion;
DROP TRIGGER twins_twinsnapshot_immutable ON twins_twinsnapshot;
DROP FUNCTION twins_refuse_model_change();
DROP FUNCTION twins_refuse_update();
"""


class Migration(migrations.Migration):
    dependencies = [("twins", "0001_initial")]

    operations = [migrations.RunSQL(FORWARD, REVERSE)]

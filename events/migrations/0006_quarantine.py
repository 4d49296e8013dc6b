"""Quarantine that people can work with: status, expiry, mending, and what a replay stored."""

from datetime import timedelta

from django.db import migrations, models
from django.db.models import F, Q


def expire_a_month_after(apps, schema_editor):
    """Rows from before get the thirty days that new ones have by default."""
    rows = apps.get_model("events", "QuarantinedEvent").objects
    rows.update(expires_at=F("received_at") + timedelta(days=30))


FUNCTIONS = """
CREATE FUNCTION events_lock_quarantined(of_source text, ids uuid[])
RETURNS SETOF events_quarantinedevent LANGUAGE plpgsql AS $body$
BEGIN
    -- In the order of the ids, so that two batches never wait for each other in a circle.
    RETURN QUERY SELECT * FROM events_quarantinedevent AS q
        WHERE q.source = of_source AND q.event_id = ANY (ids) ORDER BY q.event_id FOR UPDATE;
END $body$;

-- What is stored waits no longer. `events_append` does the same for every event that comes in.
-- Unresolved means waiting; said so, no plan can prefer the index of all that wait to that of ids.
CREATE FUNCTION events_settle(
    of_source text, ids uuid[], streams uuid[], versions integer[], moment timestamptz
) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $body$
BEGIN
    UPDATE events_quarantinedevent AS q SET
        status = 'replayed', body = '', subject_digest = NULL, stream = v.stream,
        stored_event_id = v.event_id, stored_version = v.version, resolved_at = moment,
        resolved_by = of_source
    FROM unnest(ids, streams, versions) AS v(event_id, stream, version)
    WHERE q.source = of_source AND q.event_id = v.event_id AND q.resolved_at IS NULL;
END $body$;
"""
REVERSE = """
DROP FUNCTION events_settle(text, uuid[], uuid[], integer[], timestamptz);
DROP FUNCTION events_lock_quarantined(text, uuid[]);
"""


class Migration(migrations.Migration):
    dependencies = [("events", "0005_imports")]

    operations = [
        migrations.AlterModelOptions(
            name="quarantinedevent",
            options={
                "permissions": [
                    ("open_quarantined", "Can see the body of a quarantined event"),
                    ("resolve_quarantined", "Can mend, replay and discard quarantined events"),
                ]
            },
        ),
        migrations.AlterField("quarantinedevent", "body", models.BinaryField(editable=False, help_text="sealed; empty once resolved")),
        migrations.AddField("quarantinedevent", "body_digest", models.BinaryField(default=b"", editable=False, help_text="keyed SHA-256 of the body as sent", max_length=32)),
        migrations.AddField("quarantinedevent", "form", models.CharField(choices=[("native", "an event of the API"), ("cloudevent", "a CloudEvent"), ("segment", "a message of a Segment SDK"), ("row", "a row of a file")], default="native", max_length=10)),
        migrations.AddField("quarantinedevent", "may_register", models.BooleanField(default=False, help_text="whether the sender may register customers")),
        migrations.AddField("quarantinedevent", "status", models.CharField(choices=[("waiting", "waiting for somebody"), ("replayed", "replayed and stored"), ("discarded", "discarded"), ("expired", "expired unseen")], default="waiting", max_length=10)),
        migrations.AddField("quarantinedevent", "expires_at", models.DateTimeField(null=True)),
        migrations.RunPython(expire_a_month_after, migrations.RunPython.noop),
        migrations.AlterField("quarantinedevent", "expires_at", models.DateTimeField()),
        migrations.AddField("quarantinedevent", "attempts", models.IntegerField(default=0, help_text="how often it was replayed")),
        migrations.AddField("quarantinedevent", "last_problem", models.CharField(blank=True, default="", help_text="of the last replay", max_length=350), preserve_default=False),
        migrations.AddField("quarantinedevent", "mended_at", models.DateTimeField(null=True)),
        migrations.AddField("quarantinedevent", "mended_by", models.CharField(blank=True, default="", max_length=200), preserve_default=False),
        migrations.AddField("quarantinedevent", "mended_digest", models.BinaryField(default=b"", editable=False, help_text="keyed SHA-256 of the mended body", max_length=32)),
        migrations.AddField("quarantinedevent", "resolved_at", models.DateTimeField(null=True)),
        migrations.AddField("quarantinedevent", "resolved_by", models.CharField(blank=True, default="", max_length=200), preserve_default=False),
        migrations.AddField("quarantinedevent", "stored_event_id", models.UUIDField(help_text="the id under which it was stored", null=True)),
        migrations.AddField("quarantinedevent", "stored_version", models.IntegerField(help_text="its version in the stream", null=True)),
        migrations.AddIndex("quarantinedevent", models.Index(fields=["status", "id"], name="events_quarantine_status")),
        # Most rows of an import belong to nobody readable: indexes of those who are, only.
        migrations.AlterField("quarantinedevent", "stream", models.UUIDField(help_text="whose it is, where that is known", null=True)),
        migrations.AlterField("quarantinedevent", "subject_digest", models.BinaryField(help_text="whose it may be: the vault's digest", max_length=32, null=True)),
        migrations.AddIndex("quarantinedevent", models.Index(condition=Q(("stream__isnull", False)), fields=["stream"], name="events_quarantine_stream")),
        migrations.AddIndex("quarantinedevent", models.Index(condition=Q(("subject_digest__isnull", False)), fields=["subject_digest"], name="events_quarantine_digest")),
        migrations.AddIndex("quarantinedevent", models.Index(condition=Q(("status", "waiting")), fields=["expires_at"], name="events_quarantine_due")),
        migrations.AddIndex("quarantinedevent", models.Index(condition=Q(("resolved_at__isnull", False)), fields=["resolved_at"], name="events_quarantine_resolved")),
        migrations.AddIndex("quarantinedevent", models.Index(condition=Q(("status", "waiting")), fields=["source", "id"], name="events_quarantine_waiting")),
        migrations.AddConstraint("quarantinedevent", models.CheckConstraint(condition=Q(("status", "waiting")) ^ Q(("resolved_at__isnull", False)), name="events_quarantined_resolved")),
        migrations.AddConstraint("quarantinedevent", models.CheckConstraint(condition=Q(("status", "waiting")) | Q(("body", b"")), name="events_quarantined_destroyed")),
        migrations.RunSQL(FUNCTIONS, REVERSE),
    ]

"""Imports that go on where they stopped, and the register of exports."""

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("common", "0001_initial"), ("events", "0004_feed_epoch")]

    operations = [
        migrations.CreateModel(
            name="Import",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("file_name", models.CharField(max_length=200)),
                ("file_format", models.CharField(max_length=12)),
                ("file_bytes", models.BigIntegerField()),
                ("file_sha256", models.CharField(max_length=64)),
                ("upload", models.CharField(blank=True, help_text="the uploaded file in the storage `imports`, until it is deleted", max_length=100)),
                ("mapping", models.CharField(max_length=100)),
                ("mapping_sha256", models.CharField(max_length=64)),
                ("source", models.CharField(max_length=100)),
                ("row_limit", models.BigIntegerField(null=True)),
                ("chunk_rows", models.IntegerField()),
                ("rows", models.BigIntegerField(default=0)),
                ("counts", models.JSONField(default=dict, help_text="rows by outcome, and in it by reason")),
                ("pending", models.JSONField(help_text="how identities of the chunk after the checkpoint were linked", null=True)),
                ("seconds", models.FloatField(default=0, help_text="spent on chunks that are committed")),
                ("barren_turns", models.IntegerField(default=0, help_text="workers since the last commit")),
                ("requested_by", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField()),
                ("operation", models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name="file_import", to="common.operation")),
            ],
            options={
                "permissions": [("cancel_import", "Can cancel an import")],
                "indexes": [
                    models.Index(fields=["file_sha256", "created_at"], name="events_import_file"),
                    models.Index(fields=["created_at", "id"], name="events_import_newest"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Export",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("location", models.CharField(help_text="the folder, from the root", max_length=1000)),
                ("file_format", models.CharField(max_length=12)),
                ("state", models.CharField(choices=[("writing", "being written"), ("whole", "whole"), ("gone", "deleted or replaced")], default="writing", max_length=8)),
                ("rows", models.BigIntegerField(default=0)),
                ("feed_position", models.JSONField(help_text="epoch, txid and position of its end", null=True)),
                ("taken_at", models.DateTimeField(db_index=True)),
            ],
        ),
    ]

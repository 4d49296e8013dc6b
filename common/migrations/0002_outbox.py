import uuid

from django.db import migrations, models

import common.api.renderers


class Migration(migrations.Migration):
    dependencies = [("common", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="OutboxMessage",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, help_text="the webhook-id", primary_key=True, serialize=False)),
                ("type", models.CharField(max_length=40)),
                ("body", models.JSONField(encoder=common.api.renderers.MillisecondEncoder)),
                ("created_at", models.DateTimeField(db_index=True)),
                ("state", models.CharField(choices=[("waiting", "waiting to be delivered"), ("delivered", "delivered to everybody")], default="waiting", max_length=10)),
            ],
            options={
                "indexes": [
                    models.Index(condition=models.Q(("state", "waiting")), fields=["created_at"], name="outbox_waiting"),
                ],
            },
        ),
    ]

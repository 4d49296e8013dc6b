"""Files on their way in, and copies of the store on their way out."""

import uuid

from django.db import models

from common.models import Operation


class Import(models.Model):
    """One file that is read into the store. How it stands, its operation says.

    ``rows`` is the checkpoint: so many rows, from the first, are committed with their counts.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    operation = models.OneToOneField(
        Operation, on_delete=models.PROTECT, related_name="file_import"
    )
    file_name = models.CharField(max_length=200)
    file_format = models.CharField(max_length=12)
    file_bytes = models.BigIntegerField()
    file_sha256 = models.CharField(max_length=64)
    upload = models.CharField(
        max_length=100,
        blank=True,
        help_text="the uploaded file in the storage `imports`, until it is deleted",
    )
    mapping = models.CharField(max_length=100)
    mapping_sha256 = models.CharField(max_length=64)
    source = models.CharField(max_length=100)
    row_limit = models.BigIntegerField(null=True)
    chunk_rows = models.IntegerField()
    rows = models.BigIntegerField(default=0)
    counts = models.JSONField(default=dict, help_text="rows by outcome, and in it by reason")
    pending = models.JSONField(
        null=True, help_text="how identities of the chunk after the checkpoint were linked"
    )
    seconds = models.FloatField(default=0, help_text="spent on chunks that are committed")
    barren_turns = models.IntegerField(default=0, help_text="workers since the last commit")
    requested_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["file_sha256", "created_at"], name="events_import_file"),
            models.Index(fields=["created_at", "id"], name="events_import_newest"),
        ]
        permissions = [("cancel_import", "Can cancel an import")]

    def __str__(self) -> str:
        return f"{self.file_name} by {self.mapping}"


class Export(models.Model):
    """A copy of the store in a folder. It holds pseudonyms, so an erasure has to find it."""

    class State(models.TextChoices):
        WRITING = "writing", "being written"
        WHOLE = "whole", "whole"
        GONE = "gone", "deleted or replaced"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    location = models.CharField(max_length=1_000, help_text="the folder, from the root")
    file_format = models.CharField(max_length=12)
    state = models.CharField(max_length=8, choices=State, default=State.WRITING)
    rows = models.BigIntegerField(default=0)
    feed_position = models.JSONField(null=True, help_text="epoch, txid and position of its end")
    taken_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.location

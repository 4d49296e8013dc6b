"""The epochs of the feed; the table is made by SQL, together with the functions that read it."""

from django.db import models


class FeedEpoch(models.Model):
    """A time within which transaction ids only grow; a restore ends it. The newest one is current.

    Every transaction below ``complete_txid`` had ended when this was written down last. So what a
    copy of the database holds below it is whole, whenever the copy was made.
    """

    epoch = models.IntegerField(primary_key=True)
    identity = models.TextField()
    began_at = models.DateTimeField()
    complete_txid = models.BigIntegerField()

    class Meta:
        managed = False  # also keeps `flush` from taking the current epoch away
        db_table = "events_feedepoch"

    def __str__(self) -> str:
        return f"epoch {self.epoch} of {self.identity}"

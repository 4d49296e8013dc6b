"""API clients and write keys: who may ask, and who may only send."""

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from oauth2_provider.models import AbstractApplication


class ApiClient(AbstractApplication):  # type: ignore[misc]
    """A machine (a CRM, a shop) that calls the API."""

    allowed_scopes = models.TextField(blank=True, help_text="scopes, separated by spaces")

    class Meta(AbstractApplication.Meta):  # type: ignore[misc]
        verbose_name = "API client"


class WriteKey(models.Model):
    """A key that may send events to the collector and do nothing else; kept as a digest.

    Keys of one name are one source: events, quarantine and counters carry the name.
    """

    name = models.CharField(
        max_length=100,
        validators=[RegexValidator(r"^[^\x00-\x1f]+\Z", "no control characters, please")],
        help_text="the source that events, quarantine and counters carry",
    )
    digest = models.BinaryField(max_length=32, unique=True, help_text="SHA-256 of the key")
    shown = models.CharField(max_length=16, help_text="the key's first characters")
    is_active = models.BooleanField(default=True)
    may_register = models.BooleanField(
        default=True, help_text="customers who are not known yet, and further identities of theirs"
    )
    keeps_unknown_types = models.BooleanField(
        default=True, help_text="events of a name that nobody registered are stored as they are"
    )
    user_id_kind = models.CharField(
        max_length=32,
        default="user_id",
        validators=[
            RegexValidator(
                r"^(?!anonymous_id\Z|pseudonym\Z)[a-z][a-z0-9_]*\Z",
                "lower-case letters, digits and underscores; not anonymous_id or pseudonym",
            )
        ],
        help_text="which kind of identity a userId is: crm_id where it is the CRM's number",
    )
    currency = models.CharField(
        max_length=3,
        blank=True,
        validators=[RegexValidator(r"^[A-Z]{3}\Z", "three capital letters (ISO 4217)")],
        help_text="of orders that name none",
    )
    events_per_second = models.PositiveIntegerField(
        null=True, blank=True, help_text="empty: the default of the settings; 0: no limit"
    )
    burst = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="events at once; empty: the default of the settings",
    )
    created_at = models.DateTimeField()
    last_used_on = models.DateField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.shown}...)"

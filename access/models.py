"""API clients: OAuth 2.0 applications that know the most they may ask for."""

from django.db import models
from oauth2_provider.models import AbstractApplication


class ApiClient(AbstractApplication):  # type: ignore[misc]
    """A machine (a CRM, a shop) that calls the API."""

    allowed_scopes = models.TextField(blank=True, help_text="scopes, separated by spaces")

    class Meta(AbstractApplication.Meta):  # type: ignore[misc]
        verbose_name = "API client"

"""The roof: settings, URLs, the Celery application and the private servers."""

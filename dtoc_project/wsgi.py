"""The web application, for gunicorn: ``gunicorn dtoc_project.wsgi``."""

import os

from django.core.wsgi import get_wsgi_application

from dtoc_project import embedded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dtoc_project.settings")
embedded.start()

application = get_wsgi_application()

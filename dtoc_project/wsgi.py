"""The web application, for any WSGI server; ours is ``python -m dtoc_project.server``."""

import os

from django.core.wsgi import get_wsgi_application

from dtoc_project import embedded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dtoc_project.settings")
embedded.start()

application = get_wsgi_application()

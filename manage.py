#!/usr/bin/env python
"""DToC's command line: `python manage.py help` lists the commands."""

import os
import sys

# Commands that need no database: asking for help should not start a server.
WITHOUT_SERVERS = {"help", "--help", "-h", "--version", "version", "makemessages", "collectstatic"}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dtoc_project.settings")
    from django.core.management import execute_from_command_line

    from dtoc_project import embedded

    asked = set(sys.argv[1:2]) | ({"--help", "-h"} & set(sys.argv))
    try:
        if sys.argv[1:] and not asked & WITHOUT_SERVERS:
            embedded.start()
        execute_from_command_line(sys.argv)
    except embedded.EmbeddedServerError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()

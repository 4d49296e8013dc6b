"""The administrator of a demo."""

import secrets
from dataclasses import dataclass

from django.contrib.auth.models import User

NAME = "admin"


@dataclass(frozen=True, slots=True)
class Login:
    """A name and a password, shown once: what is stored is a hash."""

    name: str
    password: str


def admin_login() -> Login:
    """There is a superuser ``admin`` with a fresh password."""
    password = secrets.token_urlsafe(9)
    user = User.objects.filter(username=NAME).first()
    if user is None:
        User.objects.create_superuser(NAME, password=password)
    else:
        user.set_password(password)
        user.save(update_fields=["password"])
    return Login(NAME, password)

"""Errors of access.

DtocError
  UnknownScope
  ClientExists
"""

from common.errors import DtocError


class UnknownScope(DtocError):
    code = "unknown-scope"
    title = "There is no such scope"
    template = "there is no scope {scope}; the scopes are {known}"


class ClientExists(DtocError):
    code = "client-exists"
    title = "The client exists"
    template = "there is a client named {name} already: choose another name or pass --replace"

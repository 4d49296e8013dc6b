"""Errors of access.

DtocError
  UnknownScope
  ClientExists
  WriteKeyExists, InvalidWriteKey
  WriteKeyMissing, WriteKeyUnknown, WriteKeysDisagree, WriteKeyInactive
  TooManyEvents
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


class WriteKeyExists(DtocError):
    code = "write-key-exists"
    title = "The source has a write key"
    template = (
        "there is an active write key of the source {name} already: choose another name, or pass "
        "--another to have two while senders change over"
    )


class InvalidWriteKey(DtocError):
    code = "write-key-invalid"
    title = "The write key cannot be made"
    template = "{field}: {problem}"


class WriteKeyMissing(DtocError):
    code = "write-key-missing"
    title = "The request carries no write key"
    template = (
        "no write key was sent: send it as the user name of Basic authorization, as a Bearer token "
        "or as writeKey in the body"
    )


class WriteKeyUnknown(DtocError):
    code = "write-key-unknown"
    title = "There is no such write key"
    template = "the write key is not one of ours: make one with manage.py create_write_key"


class WriteKeysDisagree(DtocError):
    code = "write-keys-disagree"
    title = "The request carries two write keys"
    template = "the body and the header Authorization carry different write keys: send one"


class WriteKeyInactive(DtocError):
    code = "source-inactive"
    title = "The source is switched off"
    template = (
        "the write key of the source {name} is switched off: use another one, or stop sending"
    )


class TooManyEvents(DtocError):
    code = "too-many-events"
    title = "Too many events at once"
    template = "more events were sent than the limit allows: send again in {seconds} seconds"

"""Errors of customers.

DtocError
  UnknownCustomer, UnknownIdentity, InvalidIdentity, IdentitySuppressed, IdentityOfAnother
  RequestAlreadyOpen, UnknownRequest, NotOfThisRequest
  VaultError
    KeyFileExposed, KeyFileDamaged, KeyFileMissing, WrongKey, SealBroken

A message never holds an identity value: messages end in logs and in answers.
"""

from common.errors import DtocError


class UnknownCustomer(DtocError):
    code = "unknown-customer"
    title = "There is no such customer"
    template = (
        "there is no customer {pseudonym} (or no longer): look the pseudonym up by identity with "
        "POST /api/v1/customers/lookup/"
    )


class UnknownIdentity(DtocError):
    code = "unknown-identity"
    title = "Nobody is known by this identity"
    template = (
        "no customer has this {kind}: check kind and value, or register the customer with "
        "POST /api/v1/customers/"
    )


class InvalidIdentity(DtocError):
    code = "invalid-identity"
    title = "The identity is malformed"
    template = (
        "the identity of kind {kind!r} {problem}: send a kind of lower-case letters, digits and "
        "underscores (at most 40) and a value of 1 to 500 printable characters"
    )


class IdentitySuppressed(DtocError):
    code = "subject-suppressed"
    title = "This person was erased on request"
    template = (
        "the person with this {kind} was erased on request and must not be stored again: remove "
        "the person from the data that you send"
    )


class IdentityOfAnother(DtocError):
    code = "identity-of-another"
    title = "Somebody else has this identity"
    template = (
        "the {kind} belongs to another customer: two customers are not merged by linking, check "
        "which of them is meant"
    )


class RequestAlreadyOpen(DtocError):
    code = "request-already-open"
    title = "This customer's erasure is under way"
    template = (
        "erasure {request_id} of this customer is open already: watch it at "
        "/api/v1/erasures/{request_id}/"
    )


class UnknownRequest(DtocError):
    code = "unknown-request"
    title = "There is no such data-subject request"
    template = "there is no request {request_id}: take the id from the Location header"


class NotOfThisRequest(DtocError):
    code = "not-of-this-request"
    title = "This is somebody else"
    template = (
        "the {what} given is not the one that request {request_id} erased: check it, or repeat the "
        "scan without it"
    )


class VaultError(DtocError):
    """The keys of the vault cannot do what was asked; an operator has to act."""

    code = "vault-error"
    title = "The identity vault cannot be used"
    template = "{problem}"


class KeyFileExposed(VaultError):
    code = "key-file-exposed"
    template = (
        "the key file {path} has mode {mode}, expected 0600: run `chmod 600 {path}` and, where "
        "others may have read it, treat the key as known to them"
    )


class KeyFileDamaged(VaultError):
    code = "key-file-damaged"
    template = "the key file {path} {problem}: restore it from a backup; do not delete it"


class KeyFileMissing(VaultError):
    code = "key-file-missing"
    template = (
        "the key file {path} is missing although the vault holds data sealed with it: restore it "
        "from a backup. A new key could not open that data, so none was made"
    )


class WrongKey(VaultError):
    code = "wrong-key"
    template = (
        "the data was sealed with key {expected}, the key at hand is {actual}: restore the key "
        "file that belongs to this database"
    )


class SealBroken(VaultError):
    code = "seal-broken"
    template = "the sealed {what} cannot be opened: it was changed, or belongs to somebody else"

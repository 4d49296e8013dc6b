"""Scanning for an erased person: at the end of the erasure, and at any time afterwards.

What is known about the person differs. While the request is open, pseudonym, identity values and
digests are all known. Completing it deletes the pseudonym and the values; what stays is the
SHA-256 of the pseudonym and the keyed digests in the suppression table. A later scan hashes every
UUID that it meets and compares, searches for the digests, and says that it could not search for the
values. Whoever knows the pseudonym or a value (the person who asks whether we kept our word) can
name them for one scan; they are checked against what was erased and stored nowhere.
"""

from collections.abc import Sequence
from uuid import UUID

from customers import vault
from customers.erasure import Finding, registered_stores
from customers.errors import NotOfThisRequest
from customers.identities import PSEUDONYM, IdentityKey, normalised
from customers.models import DataSubjectRequest, Suppression
from customers.scan import ScanReport, Sought, scan_everything
from customers.scan.sought import sha256_of
from customers.selectors import request_by_id
from customers.services.steps import sealed_identities_of


def verify_erasure(
    *, request_id: UUID, pseudonym: UUID | None = None, identities: Sequence[IdentityKey] = ()
) -> list[Finding]:
    """What is still found of the person; empty where nothing is.

    Raises:
        UnknownRequest: there is none of that id.
        NotOfThisRequest: ``pseudonym`` or an identity belongs to somebody else.
    """
    report = repeat_scan(request_id=request_id, pseudonym=pseudonym, identities=identities)
    return report.findings


def repeat_scan(
    *, request_id: UUID, pseudonym: UUID | None = None, identities: Sequence[IdentityKey] = ()
) -> ScanReport:
    """The same with everything that was and was not searched."""
    request = request_by_id(request_id)
    if pseudonym is not None and sha256_of(pseudonym) != request.pseudonym_sha256:
        raise NotOfThisRequest(what="pseudonym", request_id=request_id)
    return scan_for(request, pseudonym=pseudonym, named=_checked(request, identities))


def scan_for(
    request: DataSubjectRequest,
    *,
    pseudonym: UUID | None = None,
    named: Sequence[IdentityKey] = (),
) -> ScanReport:
    """The independent scan, and the stores' own scans where the pseudonym is known."""
    sought = _sought(request, pseudonym or request.pseudonym, named)
    report = scan_everything(sought)
    if (needles := sought.needles()) is not None:
        for store in registered_stores():
            report.stores += 1
            report.findings += store.scan(needles)
    else:
        report.left_out.append("the stores' own scans, which need the pseudonym")
    return report


def _sought(
    request: DataSubjectRequest, pseudonym: UUID | None, named: Sequence[IdentityKey]
) -> Sought:
    digests = dict(_suppressed(request))
    known = tuple(dict.fromkeys([*sealed_identities_of(request), *named]))
    known = tuple((kind, normalised(kind, value)) for kind, value in known)
    identities = sum(kind != PSEUDONYM for kind in digests.values())
    return Sought(
        pseudonym_sha256=request.pseudonym_sha256,
        pseudonym=pseudonym,
        identities=known,
        digests=tuple(digests),
        values_unknown=max(identities - len(known), 0),
        own_request=request.id if request.pseudonym is not None else None,
    )


def _checked(request: DataSubjectRequest, identities: Sequence[IdentityKey]) -> list[IdentityKey]:
    digests = dict(_suppressed(request))
    for kind, value in identities:
        if vault.identity_digest(kind, value) not in digests:
            raise NotOfThisRequest(what=kind, request_id=request.id)
    return [(kind, normalised(kind, value)) for kind, value in identities]


def _suppressed(request: DataSubjectRequest) -> list[tuple[bytes, str]]:
    suppressed = Suppression.objects.filter(request=request).order_by("id")
    return [(bytes(digest), kind) for digest, kind in suppressed.values_list("digest", "kind")]

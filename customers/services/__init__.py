"""Everything that writes customers: registration, linking and erasure."""

from customers.services.erase import (
    begin_erasure,
    erase_now,
    request_erasure,
    resume_erasures,
    run_erasure,
)
from customers.services.link import Link, Linked, link_identities, link_identity
from customers.services.register import register_customer, register_customers
from customers.services.verify import repeat_scan, verify_erasure

__all__ = [
    "Link",
    "Linked",
    "begin_erasure",
    "erase_now",
    "link_identities",
    "link_identity",
    "register_customer",
    "register_customers",
    "repeat_scan",
    "request_erasure",
    "resume_erasures",
    "run_erasure",
    "verify_erasure",
]

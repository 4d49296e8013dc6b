"""What a client may be allowed to do. Everything else is refused."""

SCOPES = {
    "events:write": "Send events",
    "events:read": "Read the feed and single streams",
    "quarantine:manage": "Read, mend, replay and discard what could not be stored",
    "imports:run": "Import files, watch and cancel imports; registers customers",
    "identities:read": "Look pseudonyms up by identity",
    "identities:write": "Register customers and their identities",
    "twins:read": "Read twins, predictions and model versions",
    "campaigns:read": "Read campaigns, products, audiences, simulations, launches and operations",
    "campaigns:write": "Create and launch campaigns, create audiences, store products",
    "simulations:run": "Start and cancel simulations",
    "decisions:make": "Ask for the next best action",
    "requests:manage": "Open and read requests of data subjects, erasures included",
    "models:manage": "Train and activate models",
    "audit:read": "Read the audit trail",
}

"""Examples of decisions and live offers for the API's description."""

from typing import Any

OFFER_ID = "0c3c1f7e-52f6-4a34-8f0e-6f3f6b9b7a10"
CAMPAIGN_ID = "5f0c7c1e-9a39-4a5e-9c6c-2d0f6d0a8f11"
DECISION_ID = "b8a1c0de-0d3a-4a3f-9a61-0c8d6c5b4a39"
EFFECTS: dict[str, Any] = {
    "kind": "assumed",
    "hazard": {"mean": 0.75, "spread": 0.25},
    "quantity": {"mean": 0.75, "spread": 0.25},
    "correlation": 1.0,
    "least": 0.0,
    "most": 20.0,
    "simulation_id": None,
}
LIVE_OFFER_IN: dict[str, Any] = {
    "depth": "0.1",
    "ends_at": "2011-12-01T00:00:00Z",
    "response": {"mean": 1.5, "spread": 0.5},
    "skus": ["85123A", "22423"],
    "holdout_share": "0.1",
}
LIVE_OFFER: dict[str, Any] = {
    "id": OFFER_ID,
    "campaign_id": CAMPAIGN_ID,
    "name": "Spring sale",
    "depth": "0.1",
    "skus": ["85123A", "22423"],
    "least_order_value": None,
    "holdout_share": "0.1",
    "response": EFFECTS,
    "starts_at": "2011-11-01T09:00:00.000Z",
    "ends_at": "2011-12-01T00:00:00.000Z",
    "closed_at": None,
    "opened_by": "crm",
    "opened_at": "2011-11-01T09:00:00.000Z",
}
CANDIDATE: dict[str, Any] = {
    "live_offer_id": OFFER_ID,
    "campaign_id": CAMPAIGN_ID,
    "name": "Spring sale",
    "kind": "discount",
    "depth": "0.1",
    "skus": ["85123A"],
    "offer_days": 14,
    "least_order_value": None,
    "currency": "GBP",
    "expected_margin": {"mean": "1.2345", "low": "0.4012", "high": "2.1180"},
    "expected_orders": {"without": 1.82, "with": 1.9},
    "response": EFFECTS,
    "reason": {
        "code": "chosen",
        "text": "adds 1.23 GBP [0.40, 2.12] within 90 days, the most of the offers that may be "
        "made",
    },
}
DECISION: dict[str, Any] = {
    "id": DECISION_ID,
    "exposure_id": DECISION_ID,
    "pseudonym": "afd050a9-b7e3-4e48-bc1f-d9e5d7b2d84b",
    "decided_at": "2011-11-18T12:00:00.000Z",
    "arm": "treatment",
    "show_until": "2011-11-19T12:00:00.000Z",
    "reason": {"code": "chosen", "text": f"Spring sale {CANDIDATE['reason']['text']}"},
    "offer": CANDIDATE,
    "candidates": [CANDIDATE],
    "interval": {"level": 0.9, "of": "the response of customers", "horizon_days": 90},
    "twin": {
        "model": {
            "id": "6a1e8a86-52d5-4f1f-9d6a-3b8f5c1d2e70",
            "name": "2011-11",
            "sha256": "9f2c1d",
        },
        "stream_version": 42,
        "lag": 0,
        "order_value": "38.20",
        "order_within_90_days": 0.731204,
    },
    "rules": {
        "channel": "web",
        "basket_value": None,
        "marketing_basis": "consent",
        "marketing_consent": True,
        "profiling_consent": None,
        "global_holdout_share": 0.0,
        "contact_cap": 3,
        "contact_cap_days": 30,
        "contacts": 1,
    },
    "outcome": None,
}
NOT_ASKED = {"expected_margin": None, "expected_orders": None}
WITHDRAWN = {
    "code": "marketing_withdrawn",
    "text": "the customer has withdrawn the agreement to marketing",
}
NO_OFFER: dict[str, Any] = {
    **DECISION,
    "exposure_id": None,
    "arm": None,
    "show_until": None,
    "reason": WITHDRAWN,
    "offer": None,
    "candidates": [{**CANDIDATE, **NOT_ASKED, "reason": WITHDRAWN}],
    "twin": None,
    "rules": {**DECISION["rules"], "marketing_consent": False},
}
ASKED = {"pseudonym": DECISION["pseudonym"], "channel": "web"}
BY_IDENTITY = {"identity": {"kind": "crm_id", "value": "17850"}, "basket_value": "24.50"}

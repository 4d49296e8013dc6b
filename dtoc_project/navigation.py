"""The admin's side bar, in the order in which the product works."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

SECTIONS: dict[str, list[tuple[str, str, str]]] = {
    "What happened": [
        ("Events", "timeline", "events_event"),
        ("Streams", "stacked_line_chart", "events_stream"),
        ("Event types", "category", "events_customtype"),
        ("Quarantine", "report", "events_quarantinedevent"),
        ("Imports", "upload_file", "events_import"),
        ("Exports", "download", "events_export"),
        ("Rejected, live", "monitor_heart", "events_rejected"),
    ],
    "Who they are now": [
        ("Customers", "groups", "customers_customer"),
        ("Twins", "person_pin_circle", "twins_twin"),
        ("Parked streams", "block", "twins_parkedstream"),
        ("Model versions", "model_training", "twins_modelversion"),
        ("Fidelity", "monitoring", "twins_fidelityday"),
    ],
    "What if": [
        ("Campaigns", "campaign", "campaigns_campaign"),
        ("Products", "inventory_2", "campaigns_product"),
        ("Audiences", "diversity_3", "campaigns_audience"),
        ("Simulations", "query_stats", "campaigns_simulationrun"),
        ("Policy ledger", "balance", "campaigns_policyledgerentry"),
        ("Live offers", "local_offer", "campaigns_liveoffer"),
        ("Decisions", "alt_route", "campaigns_decision"),
    ],
    "Privacy": [("Data-subject requests", "gavel", "customers_datasubjectrequest")],
    "Operation": [
        ("Long work", "hourglass_top", "common_operation"),
        ("Outbox", "outbox", "common_outboxmessage"),
        ("Celery tasks", "memory", "django_celery_results_taskresult"),
        ("API clients", "key", "access_apiclient"),
        ("Write keys", "vpn_key", "access_writekey"),
        ("Users", "person", "auth_user"),
    ],
}


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The sections of the side bar with links to the pages of each table, and to Flower."""
    sections = [_section(title, items) for title, items in SECTIONS.items()]
    flower = {
        "title": "Flower (workers)",
        "icon": "local_florist",
        "link": settings.DTOC_FLOWER_URL,
    }
    sections[-1]["items"].append(flower)
    return sections


def _section(title: str, items: list[tuple[str, str, str]]) -> dict[str, Any]:
    links = [
        {"title": name, "icon": icon, "link": reverse(f"admin:{table}_changelist")}
        for name, icon, table in items
    ]
    return {"title": title, "separator": True, "items": links}

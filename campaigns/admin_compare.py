"""The admin's page of simulations side by side."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from campaigns.charts import Chart, interval_chart
from campaigns.compare import Comparison, Side, asked_of, comparison, figures_of
from campaigns.downloads import comparison_csv
from campaigns.tables import money, scenario_words
from common.errors import DtocError

ROWS = {
    "profit": "profit",
    "revenue": "incremental revenue",
    "margin": "incremental margin",
    "cost": "cost",
    "roi": "profit for each unit of cost",
    "orders": "more orders",
    "buyers": "more buyers",
}
CHARTED = ("profit", "revenue", "roi")
VERDICTS = {
    "offer": "gains",
    "no-offer-pays": "does not pay",
    "over-budget": "over its budget",
}
LIST = "admin:campaigns_simulationrun_changelist"
UNKNOWN = {"mean": "-", "interval": ""}


def comparison_page(request: HttpRequest, site: dict[str, Any]) -> HttpResponse:
    """The page, or the list of simulations with the reason why there is none."""
    ids = _asked(request)
    try:
        found = comparison(asked_of(ids))
    except DtocError as error:
        messages.error(request, str(error))
        return redirect(LIST)
    context = {**site, "title": "Simulations side by side", "ids": ids, **page_of(found)}
    return TemplateResponse(request, "admin/campaigns/compare.html", context)


def compared_csv(request: HttpRequest) -> HttpResponse:
    """The comparison as CSV."""
    try:
        text = comparison_csv(comparison(asked_of(_asked(request))))
    except DtocError as error:
        messages.error(request, str(error))
        return redirect(LIST)
    name = {"Content-Disposition": 'attachment; filename="comparison.csv"'}
    return HttpResponse(text, content_type="text/csv", headers=name)


def page_of(found: Comparison) -> dict[str, Any]:
    """What the page shows."""
    names = [_name(place, side) for place, side in enumerate(found.sides, start=1)]
    figures = [figures_of(side.scenario) for side in found.sides]
    rows = [
        {"name": words, "cells": [_cell(one[name]) for one in figures]}
        for name, words in ROWS.items()
        if any(one[name] is not None for one in figures)
    ]
    return {
        "found": found,
        "currency": found.sides[0].run.manifest["currency"],
        "horizon_days": found.sides[0].run.horizon_days,
        "audience": found.sides[0].run.audience,
        "sides": [
            {
                "side": side,
                "name": name,
                "words": scenario_words(side.scenario),
                "verdict": VERDICTS[side.verdict],
                "difference": _cell(side.difference),
                "best": place == found.best,
            }
            for place, (side, name) in enumerate(zip(found.sides, names, strict=True))
        ],
        "rows": rows,
        "compared_by": ROWS[found.compared_by],
        "charts": list(_charts(found, figures)),
    }


def _charts(found: Comparison, figures: list[dict[str, Any]]) -> list[Chart]:
    """One chart for each figure that is known of every side; sides by number, for want of room."""
    names = [
        f"{place}. {scenario_words(side.scenario)}"
        for place, side in enumerate(found.sides, start=1)
    ]
    currency = found.sides[0].run.manifest["currency"]
    return [
        interval_chart(
            {name: one[figure] for name, one in zip(names, figures, strict=True)},
            words=ROWS[figure] + ("" if figure == "roi" else f", {currency}"),
        )
        for figure in CHARTED
        if all(one[figure] is not None for one in figures)
    ]


def _name(place: int, side: Side) -> str:
    """A side by its number and campaign; one campaign may stand there twice."""
    return f"{place}. {side.run.campaign.name}, {scenario_words(side.scenario)}"


def _cell(figure: dict[str, Any] | None) -> dict[str, str]:
    if figure is None:
        return UNKNOWN
    mean = money(str(figure["mean"]))
    if figure["low"] is None:
        return {"mean": mean, "interval": ""}
    return {
        "mean": mean,
        "interval": f"{money(str(figure['low']))} to {money(str(figure['high']))}",
    }


def _asked(request: HttpRequest) -> str:
    return ",".join(request.GET.getlist("ids"))

"""A model's evaluation as tables: its figures with the baselines beside them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, Any]

ITEM_METRICS = {"top_1": "top-1", "top_10": "top-10", "mrr_20": "MRR@20", "nll": "NLL"}
METHODS = {
    "model": "this model",
    "model_told": "this model, told when and if it goes on",
    "network": "its network alone",
    "popularity": "popularity",
    "own_and_popularity": "own frequency + popularity",
    "markov_and_popularity": "Markov + popularity",
    "own_rates": "own rates and weekdays alone",
    "one_rate": "one rate for everybody",
    "own_mean": "own mean",
    "item_mean": "item mean",
    "personal_and_recent": "own orders, ties and fill by the last 28 days",
    "best_sellers": "best sellers of the last 28 days",
    "foretold": "foretold to be in the order",
    "found": "in the order",
    "model_80_percent_interval_held": "this model's 80 % interval held",
}
GAIN = "gain over own orders, paired"
ITEM_SECTIONS = {
    "all_lines": "Next item, all lines",
    "first_of_order": "Next item, first line of an order",
}
BASKET_METRICS = {"ndcg_10": "nDCG@10", "recall_10": "recall@10", "hit_10": "hit@10"}
SCALAR_SECTIONS = {
    "time_to_order": ("Time to the next order", "log-likelihood"),
    "line_total": ("Line total", "mean abs. error of log, or share"),
}


@dataclass(frozen=True, slots=True)
class ReportTable:
    """One table: its title, its column names, and per row the method and its figures."""

    title: str
    columns: tuple[str, ...]
    figures: tuple[tuple[str, tuple[Figures | None, ...]], ...]

    @property
    def rows(self) -> list[tuple[str, list[str]]]:
        """Methods and cells such as ``0.163 (0.157 to 0.169)``, with the 95 % interval."""
        return [(method, [_cell(figure) for figure in row]) for method, row in self.figures]

    @property
    def narrow_rows(self) -> list[tuple[str, list[str]]]:
        """Methods and cells such as ``0.163 ± 0.006``, with half of the 95 % interval."""
        return [(method, [_narrow_cell(figure) for figure in row]) for method, row in self.figures]


def report_tables(report: Figures) -> list[ReportTable]:
    """All tables of a report; parts that were not measured are left out."""
    validation = report.get("validation", {})
    items = validation.get("next_item", {})
    tables = [
        _table(title, items[section], ITEM_METRICS)
        for section, title in ITEM_SECTIONS.items()
        if items.get(section)
    ]
    baskets = validation.get("next_basket")
    if baskets:
        methods = {**baskets["all_orders"], GAIN: baskets["gain"]}
        tables.append(_table("Next basket", methods, BASKET_METRICS))
        hits = {name: {"items": figure} for name, figure in baskets["hits_of_ten"].items()}
        tables.append(_table("Next basket, of ten items listed", hits, {"items": "items"}))
    for section, (title, metric) in SCALAR_SECTIONS.items():
        if validation.get(section):
            nested = {method: {"value": figure} for method, figure in validation[section].items()}
            tables.append(_table(title, nested, {"value": metric}))
    return tables


def report_summary(report: Figures) -> dict[str, float | None]:
    """The four figures by which versions are told apart; None where one was not measured."""
    validation = report.get("validation", {})
    lines = validation.get("next_item", {}).get("all_lines", {}).get("model", {})
    return {
        "next_item_top_10": _value(lines.get("top_10")),
        "next_item_nll": _value(lines.get("nll")),
        "time_to_order_log_likelihood": _value(validation.get("time_to_order", {}).get("model")),
        "line_total_log_error": _value(validation.get("line_total", {}).get("model")),
    }


def _table(title: str, methods: Figures, metrics: Mapping[str, str]) -> ReportTable:
    rows = tuple(
        (METHODS.get(method, method), tuple(figures.get(name) for name in metrics))
        for method, figures in methods.items()
    )
    return ReportTable(title, tuple(metrics.values()), rows)


def _value(figure: Figures | None) -> float | None:
    return figure.get("value") if figure else None


def _cell(figure: Figures | None) -> str:
    value = _value(figure)
    if figure is None or value is None:
        return "-"
    return f"{value:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"


def _narrow_cell(figure: Figures | None) -> str:
    value = _value(figure)
    if figure is None or value is None:
        return "-"
    return f"{value:.3f} ± {(figure['high'] - figure['low']) / 2:.3f}"

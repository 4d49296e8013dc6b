"""The card of a model version, in Markdown: everything from the version's own record.

Source of the form: Mitchell et al. 2019, Model Cards for Model Reporting, arXiv:1810.03993.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from twins.gate import compared, objection
from twins.models import Activation, ModelVersion
from twins.reports import report_tables
from twins.selectors import activations_of, challenger_id, find_active_model
from twins.training_options import OF_MODEL, OF_TRAINING

PURPOSE = (
    "Keeps a twin of each customer of this shop: folds purchases and returns into a state, and "
    "says from it which items come next, when the next order comes, whether any comes, and what a "
    "line will cost. Meant for decisions about groups of customers, such as whom to make an offer "
    "and when, and for simulating campaigns before they run."
)
NOT_FOR = (
    "Not for decisions about a single person that have legal or similar effects (credit, refusal "
    "of service), not for customers of another shop, and not for proving that an offer caused "
    "anything: it has seen what happened, not what would have happened otherwise."
)
LIMITS = (
    "Figures are of one window of one shop. What that window had not in common with the time to "
    "come (a season, a new assortment, another crowd of customers) is in no interval.",
    "The intervals are over customers drawn again. They do not cover another seed or another "
    "window.",
    "Less than two years of events know no season: a year's end is predicted from the months "
    "before it.",
    "Offers are not folded: the model does not know which purchases an offer brought about.",
    "The search chose its best epoch on the validation window, so its figures are a little kind.",
)


def card_of(version: ModelVersion) -> str:
    """The card as Markdown, with a comparison with the active version where it is another one."""
    parts = (
        _head(version),
        _section("What it is for", (PURPOSE, "", NOT_FOR)),
        _section("What it learned from", _data(version)),
        _section("How it was made", _making(version)),
        *_figures(version),
        _section("Limits", [f"- {one}" for one in (*LIMITS, *_notes(version))]),
        *_beside_the_active(version),
        _section("Activations", _activations(activations_of(version))),
        _section("Making it again", _reproduction(version)),
    )
    return "\n\n".join(parts) + "\n"


def _head(version: ModelVersion) -> str:
    is_next = version.id == challenger_id()
    state = f"{version.state}, the challenger" if is_next else version.state
    facts = {
        "id": version.id,
        "state": state,
        "made": _moment(version.created_at),
        "SHA-256 over all files": f"`{version.sha256}`",
    }
    return f"# {version.name}\n\n" + _pairs(facts)


def _data(version: ModelVersion) -> list[str]:
    counted = version.report.get("data", {})
    facts = {
        "events before the cut-off": f"{version.events_count:,}",
        "of these before the validation window": _count(counted.get("events_before_validation")),
        "customers": _count(counted.get("customers")),
        "items": _count(counted.get("items")),
        "of these known before the window": _count(counted.get("items_before_validation")),
        "cut-off": f"{_moment(version.cut_off)} (no event at or after it was seen)",
        "validation window": f"{_moment(version.validation_from)} to {_moment(version.cut_off)}",
        "SHA-256 of the events": f"`{version.events_sha256}`",
    }
    kinds = (
        "Purchases, returns and registrations that are neither technical nor outliers, under "
        "pseudonyms. No weight belongs to one customer."
    )
    return [kinds, "", _pairs(facts)]


def _making(version: ModelVersion) -> list[str]:
    config, epochs = version.config, version.report.get("epochs", [])
    facts = {
        "core": config.get("model", {}).get("core", "lstm"),
        "epochs": f"{len(epochs)}, the best was {version.report.get('best_epoch', '-')}",
        "seed": version.seed,
        "code": version.code_version,
        "libraries": ", ".join(f"{name} {v}" for name, v in sorted(version.libraries.items())),
    }
    whole = json.dumps(config, indent=2, sort_keys=True)
    return [_pairs(facts), "", "The whole configuration:", "", f"```json\n{whole}\n```"]


def _figures(version: ModelVersion) -> list[str]:
    tables = report_tables(version.report)
    if not tables:
        return [_section("How good it is", ("This version has no evaluation report.",))]
    validated = version.report.get("validated", "the model")
    intro = (
        f"Measured on the validation window, of {validated}. In brackets: 95 % intervals, "
        "customers drawn with replacement."
    )
    shown = [_section("How good it is", (intro,))]
    for table in tables:
        rows = [(method, *cells) for method, cells in table.rows]
        shown.append(f"### {table.title}\n\n" + _table(("method", *table.columns), rows))
    return shown


def _notes(version: ModelVersion) -> Sequence[str]:
    notes: Sequence[str] = version.report.get("validation", {}).get("notes", ())
    return notes


def _beside_the_active(version: ModelVersion) -> list[str]:
    active = find_active_model()
    if active is None or active.id == version.id:
        return []
    against = objection(version, active)
    verdict = (
        f"It may replace {active.name} only for a reason that is given: {against}."
        if against
        else f"It may replace {active.name}: no figure is worse than its interval allows."
    )
    rows = [
        (row.figure.title, f"{row.value:.4f}", f"{row.active:.4f}", f"{row.bound:.4f}")
        for row in compared(version, active)
    ]
    columns = ("figure", "this version", "the active one", "the worst that passes")
    return [_section("Beside the active version", (verdict, "", _table(columns, rows)))]


def _activations(moves: Iterable[Activation]) -> list[str]:
    rows = [
        f"- {_moment(move.at)}: "
        + (f"replaced {move.replaced.name}" if move.replaced else "the first active version")
        + (f", because: {move.reason}" if move.reason else "")
        for move in moves
    ]
    return rows or ["It was never active."]


def _reproduction(version: ModelVersion) -> list[str]:
    model = version.config.get("model", {})
    chosen = {name: version.config.get(name) for name in (*OF_TRAINING, "device")}
    chosen |= {"core": model.get("core")} | {name: model.get(name) for name in OF_MODEL}
    options = [
        f"--cut-off {version.cut_off.isoformat()}",
        f"--validation-from {version.validation_from.isoformat()}",
        f"--seed {version.seed}",
        *(f"--{n.replace('_', '-')} {v}" for n, v in chosen.items() if v is not None),
    ]
    command = " \\\n    ".join(["manage.py train_twin", *options])
    promise = (
        "On the same events, with the code and the libraries above, a machine of the same kind and "
        "the same number of threads this ends in the same SHA-256:"
    )
    return [promise, "", f"```\n{command}\n```"]


def _section(title: str, lines: Iterable[str]) -> str:
    return f"## {title}\n\n" + "\n".join(lines)


def _pairs(facts: Mapping[str, Any]) -> str:
    return _table(("", ""), [(name, str(value)) for name, value in facts.items()])


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _count(value: Any) -> str:
    return "-" if value is None else f"{value:,}"


def _moment(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"

"""Protocol A, run: every baseline beside the twin, and the control with shuffled lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ml.metrics import ItemScores
from ml.protocols.data import Lines
from ml.protocols.next_line import METRICS, STRATA, NextLine, figures, score
from ml.protocols.next_line_methods import fit_weights, score_all
from ml.protocols.tables import ProtocolReport, Stage, flat, quiet, sections_of

SHUFFLE_SEED = 11
Scorer = Callable[[NextLine, Callable[[int], None]], ItemScores]

NOTES = (
    "most of the skill on all lines lies in the order of the lines inside an order, which shops "
    "print in picking or catalogue order: read the shuffled control and the first lines beside it",
    "items first sold after the split count as a miss and have no NLL; ties count against a method",
)


def run(
    lines: Lines,
    *,
    split_ms: int,
    validation_ms: int,
    scorers: Mapping[str, Scorer] | None = None,
    shuffled: bool = False,
    with_networks: bool = False,
    draws: int = 300,
    stage: Stage = quiet,
) -> ProtocolReport:
    """Return the figures of all baselines and of ``scorers``, models that have not seen the test.

    Raises:
        NothingToPredict: the split or the validation window leaves nothing to learn or to ask.
    """
    shop = lines.shuffled(SHUFFLE_SEED) if shuffled else lines
    task = NextLine.of(shop, split_ms)
    report = ProtocolReport(
        "A shuffled" if shuffled else "A",
        f"Next line{', lines shuffled inside each order' if shuffled else ''}: "
        f"{len(task.targets):,} targets, {int(task.known.sum()):,} of known items",
        sections_of({k: f"Next line: {v}" for k, v in STRATA.items()}, METRICS),
        notes=list(NOTES),
    )
    with stage("weights on the validation window", "windows", 1) as advance:
        weights = fit_weights(shop, validation_ms=validation_ms, split_ms=split_ms)
        advance(1)
    with stage("counting rules", "lines", len(task.targets)) as advance:
        found = score_all(task, weights, advance)
    for name, scorer in (scorers or {}).items():
        with stage(name, "lines", len(task.targets)) as advance:
            found[name] = scorer(task, advance)
    if with_networks:
        found |= _networks(task, stage)
    for name, scores in found.items():
        report.add(name, flat(figures(task, scores, draws=draws)))
    told = ", ".join(f"{part} {weight:.2f}" for part, weight in weights["mix of six"].items())
    report.notes.append(f"weights of the mix of six, from the validation window: {told}")
    return report


def _networks(task: NextLine, stage: Stage) -> dict[str, ItemScores]:
    from ml.protocols.next_line_networks import RECIPES, learn, scores_of

    found = {}
    for name, recipe in RECIPES.items():
        with stage(name, "epochs", recipe.epochs) as advance:
            network = learn(task, recipe, seed=0, on_epoch=advance)
        found[name], found[f"{name}, open order damped"] = scores_of(task, network)
    return found


def with_predict(make: Callable[[NextLine], Callable[..., object]]) -> Scorer:
    """Return the scorer of a method that is made for a task and predicts block by block."""

    def scored(task: NextLine, advance: Callable[[int], None]) -> ItemScores:
        return score(task, make(task), on_block=advance)  # type: ignore[arg-type]

    return scored

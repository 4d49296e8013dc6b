"""Which model each protocol asks, and what a command prints of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.protocols import run_futures, run_next_basket, run_next_line, run_timing
from ml.protocols.data import Lines
from ml.protocols.mixture import MixtureOfLines
from ml.protocols.next_basket import RETAIL_PRODUCTS
from ml.protocols.tables import TWIN, ProtocolReport
from ml.protocols.twin import SawTheTest, TwinStatesOfLines, trained
from ml.timing import DAY_MS
from twins.artefacts import load_model
from twins.models import ModelVersion
from twins.progress import progress_bar
from twins.selectors import active_model, model_version_named

if TYPE_CHECKING:
    from ml.training import EpochReport
    from ml.twin import TwinModel

LETTERS = ("A", "B", "C", "D")
NETWORK = "its network alone"
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is to be evaluated, and when nothing is known any more.

    ``split`` and ``validation`` are for A and B, ``cut`` for C and D, with a validation window as
    long. ``model`` None: one is trained per moment; "none": the twin is left out.
    """

    split: datetime
    validation: datetime
    cut: datetime
    products: str = r".*"
    model: str | None = None
    epochs: int | None = None
    seed: int = 0
    shuffled: bool = False
    draws: int = 300
    with_networks: bool = False


@dataclass
class Evaluation:
    """The protocols on one shop; a model is trained once per moment and kept."""

    lines: Lines
    ask: Ask
    tell: Callable[[str], None]
    _states: dict[int, TwinStatesOfLines] = field(default_factory=dict)

    def check(self, letters: Sequence[str]) -> None:
        """The named model may be asked by all these protocols: known before minutes are spent.

        Raises:
            SawTheTest, UnknownModelVersion, NoActiveModel: it may not, or there is none.
        """
        if self.ask.model in (None, "none"):
            return
        for letter in letters:
            refuse_what_saw_the_test(self._version(), letter, self._moment(letter))

    def _moment(self, letter: str) -> datetime:
        return self.ask.split if letter in "AB" else self.ask.cut

    def _version(self) -> ModelVersion:
        name = str(self.ask.model)
        return active_model() if name == "active" else model_version_named(name)

    def run(self, letter: str) -> list[ProtocolReport]:
        """The reports of one protocol.

        Raises:
            NothingToPredict: the split leaves nothing to learn or to ask.
            SawTheTest: the named model learned from what it would be asked for.
        """
        protocols = {
            "A": self._next_line,
            "B": self._next_basket,
            "C": self._timing,
            "D": self._futures,
        }
        return protocols[letter]()

    def _next_line(self) -> list[ProtocolReport]:
        made = []
        for shuffled in (False, True) if self.ask.shuffled else (False,):
            made.append(
                run_next_line.run(
                    self.lines, split_ms=ms(self.ask.split), validation_ms=ms(self.ask.validation),
                    scorers=self._item_scorers(shuffled), shuffled=shuffled,
                    with_networks=self.ask.with_networks, draws=self.ask.draws, stage=stage,
                )
            )  # fmt: skip
        return made

    def _item_scorers(self, shuffled: bool) -> dict[str, run_next_line.Scorer]:
        """The twin's rows, and its network's. Those of the control learned from shuffled lines."""
        states = self._shuffled_twin() if shuffled else self._twin("A", self.ask.split)
        if states is None:
            return {}
        told, untold = (
            run_next_line.with_predict(partial(states.item_shares, told=told))
            for told in (True, False)
        )
        if states.model.next_item is None:
            return {TWIN: untold, f"{TWIN}, told if the order goes on": told}
        mixture = MixtureOfLines(states.model.next_item)
        return {
            TWIN: mixture.untold,
            f"{TWIN}, told when the line comes": mixture.told,
            NETWORK: untold,
            f"{NETWORK}, told if the order goes on": told,
        }

    def _next_basket(self) -> list[ProtocolReport]:
        states = self._twin("B", self.ask.split)
        report = run_next_basket.run(
            self.lines, products=self.ask.products, split_ms=ms(self.ask.split),
            validation_ms=ms(self.ask.validation), model=states.model if states else None,
            draws=self.ask.draws, stage=stage,
        )  # fmt: skip
        return [report]

    def _timing(self) -> list[ProtocolReport]:
        cut = ms(self.ask.cut) // DAY_MS
        states = self._twin("C", self.ask.cut)
        spells = {TWIN: states.spell_likelihood} if states else {}
        counts = {TWIN: states.expected} if states else {}
        cuts = {TWIN: states.expected_anew} if states else {}
        report = run_timing.run(
            self.lines, cut_day=cut, spell_scorers=spells, count_scorers=counts, cut_scorers=cuts,
            draws=self.ask.draws, stage=stage,
        )  # fmt: skip
        return [report]

    def _futures(self) -> list[ProtocolReport]:
        states = self._twin("D", self.ask.cut)
        if states is None:
            self.tell("D: simulates the twin's futures, so it needs a model; left out")
            return []
        report = run_futures.run(
            self.lines, states.model, cut_day=ms(self.ask.cut) // DAY_MS, seed=self.ask.seed,
            stage=stage,
        )  # fmt: skip
        return [report]

    def _twin(self, letter: str, split: datetime) -> TwinStatesOfLines | None:
        if self.ask.model == "none":
            return None
        if ms(split) not in self._states:
            model = self._trained(split) if self.ask.model is None else self._named(letter, split)
            self._states[ms(split)] = TwinStatesOfLines(model, self.lines)
        return self._states[ms(split)]

    def _shuffled_twin(self) -> TwinStatesOfLines | None:
        if self.ask.model is not None:
            return None  # a stored version has learned the order that the control takes away
        lines = self.lines.shuffled(run_next_line.SHUFFLE_SEED)
        return TwinStatesOfLines(self._trained(self.ask.split, lines), lines)

    def _trained(self, split: datetime, lines: Lines | None = None) -> TwinModel:
        window = self.ask.split - self.ask.validation
        what = "shuffled lines" if lines else "lines"
        self.tell(f"training a model on {what} before {split:%Y-%m-%d} (seed {self.ask.seed})")
        return trained(
            lines or self.lines, cut_off_ms=ms(split), validation_ms=ms(split - window),
            epochs=self.ask.epochs, seed=self.ask.seed, on_epoch=self._tell_epoch,
        )  # fmt: skip

    def _tell_epoch(self, epoch: EpochReport) -> None:
        self.tell(
            f"epoch {epoch.epoch:2}/{epoch.epochs}  validation loss {epoch.validation_loss:.4f}  "
            f"{epoch.lines_per_second:,.0f} lines/s  {epoch.remaining_seconds:.0f} s left"
        )

    def _named(self, letter: str, split: datetime) -> TwinModel:
        version = self._version()
        refuse_what_saw_the_test(version, letter, split)
        return load_model(version.id)


def refuse_what_saw_the_test(version: ModelVersion, letter: str, split: datetime) -> None:
    """The model's training ended before the protocol's questions begin.

    Raises:
        SawTheTest: it did not.
    """
    if version.cut_off > split:
        raise SawTheTest(
            name=version.name, cut_off=f"{version.cut_off:%Y-%m-%d %H:%M}", letter=letter,
            split=f"{split:%Y-%m-%d}",
        )  # fmt: skip


def products_of(mapping: str) -> str:
    """Which item codes are products; Online Retail mixes postage and fees with them."""
    return RETAIL_PRODUCTS if Path(mapping).stem.startswith("online_retail") else r".*"


def ms(moment: datetime) -> int:
    """The moment as integer milliseconds since 1970."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


@contextmanager
def stage(title: str, unit: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error with rate and remaining time."""
    with progress_bar(title, unit=unit, total=total) as bar:
        done = 0

        def advance(more: int) -> None:
            nonlocal done
            done += more
            bar.reach(done)

        yield advance


def as_json(reports: list[ProtocolReport]) -> dict[str, Any]:
    """Protocol, then method, then metric, then value, low, high and n."""
    return {report.letter: report.as_dict() for report in reports}

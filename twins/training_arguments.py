"""The options of a training on the command line."""

from __future__ import annotations

from datetime import UTC, datetime

from django.core.management.base import CommandParser

from twins.training_options import DEFAULT_PRESET, VALIDATION_DAYS

PRESETS = (
    "quick (default): 10 epochs at 0.004, patience 3, 10 customers at a time; patient: up to 60 "
    "epochs at 0.001, patience 10; thesis: up to 100 epochs at 0.001, patience 10, one customer at "
    "a time and only the last 100 events of each, as the master's thesis did, for comparison"
)
# Options whose value the preset knows: type, metavariable, help.
OF_PRESET = {
    "epochs": (int, "N", "at most so many (10)"),
    "patience": (int, "N", "epochs without a better validation loss that end the search (3)"),
    "closing_epochs": (int, "N", "epochs over everything up to the cut-off, after it (1)"),
    "learning_rate": (float, "RATE", "of Adam, in the first epoch (0.004)"),
    "decay": (float, "FACTOR", "of the learning rate after each epoch (0.95)"),
    "clip": (float, "NORM", "longest gradient of a step (1.0)"),
    "l2": (float, "WEIGHT", "weight decay on the vectors of items, kinds and countries (1e-5)"),
    "lanes": (int, "N", "customers that are read at a time (10)"),
    "window": (int, "N", "events of each of them in one step (100)"),
    "last_events": (int, "N", "leave out what a customer did before so many events (none)"),
}
OF_MODEL = {
    "hidden": (int, "N", "numbers that the heads read (64)"),
    "context": (int, "N", "events that the transformer looks back on (100)"),
    "dropout": (float, "SHARE", "of item vectors and states, while learning (0.1)"),
}


def add_training_arguments(parser: CommandParser) -> None:
    """The parser takes the fields of ``TrainingOptions``, but for the name."""
    _add_window(parser)
    model = parser.add_argument_group("model")
    model.add_argument(
        "--core", metavar="NAME", help="lstm (default) or transformer; see docs/model.md"
    )
    how = parser.add_argument_group("training", "In brackets: the preset `quick`.")
    how.add_argument(
        "--preset",
        default=DEFAULT_PRESET,
        metavar="NAME",
        help=PRESETS,
    )
    for group, options in ((model, OF_MODEL), (how, OF_PRESET)):
        for name, (kind, metavar, text) in options.items():
            flag = "--" + name.replace("_", "-")
            group.add_argument(flag, type=kind, metavar=metavar, help=text)
    how.add_argument("--seed", type=int, default=0)
    how.add_argument("--device", help="cpu or cuda (default: DTOC_DEVICE, or what there is)")
    how.add_argument(
        "--from-start",
        action="store_true",
        help="throw away what an interrupted training of the same left",
    )


def _add_window(parser: CommandParser) -> None:
    window = parser.add_argument_group("events")
    window.add_argument(
        "--cut-off", type=moment, help="learn from events before it (default: from all)"
    )
    window.add_argument("--validation-from", type=moment, help="where the validation window begins")
    window.add_argument(
        "--validation-days",
        type=int,
        default=VALIDATION_DAYS,
        help=f"length of the window, where no beginning is given (default {VALIDATION_DAYS})",
    )


def moment(text: str) -> datetime:
    """An ISO 8601 date or time; without a zone it is UTC."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)

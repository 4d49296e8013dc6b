"""A line that shows how far a long command is, how fast, and how long it will take."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class RateColumn(ProgressColumn):
    """Units a second since the start."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} {task.fields['unit']}/s")


@contextmanager
def progress_bar(title: str, *, unit: str, total: int) -> Iterator["Bar"]:
    """A bar on standard error: what a command prints stays clean."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=sys.stderr)) as progress:
        yield Bar(progress, progress.add_task(title, total=total, unit=unit))


class Bar:
    """One bar; ``reach`` moves it."""

    def __init__(self, progress: Progress, task: int) -> None:
        self._progress, self._task = progress, task

    def reach(self, done: int) -> None:
        """So much is done in all; where more came than was expected, the total grows."""
        (task,) = (t for t in self._progress.tasks if t.id == self._task)
        self._progress.update(self._task, completed=done, total=max(done, int(task.total or 0)))  # type: ignore[arg-type]

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.rule import Rule

from access.services import create_client
from common.clock import now
from customers.selectors import customer_count
from dtoc_project.demo_users import admin_login
from dtoc_project.management.commands.up import running_stack
from events.errors import NoMappingFits
from events.selectors import newest_event_at, sources, streams_by_length
from events.services.imports import mapping_for
from ml.shop.config import ShopConfig
from ml.shop.write import write_parquet
from twins.api.views import twin_document

SYNTHETIC = ShopConfig(customers=2_000, days=365, seed=7)


@dataclass(frozen=True, slots=True)
class Size:
    """How much work each step does, so that the whole fits into the stated minutes on 2 cores."""

    epochs: int
    audience: int
    replicates: int


QUICK = Size(epochs=6, audience=1_000, replicates=10)
REAL = Size(epochs=8, audience=1_000, replicates=10)


class Command(BaseCommand):
    help = "The whole line once: import, train, advance, read a twin, simulate, erase."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--data", type=Path, help="a file of events (default: a synthetic shop)")
        parser.add_argument("--mapping", help="how to read it (default: the one that fits)")
        parser.add_argument("--no-keep", action="store_true", help="stop everything at the end")
        parser.add_argument("--port", type=int, default=8000)

    def handle(
        self, *args: Any, data: Path | None, mapping: str | None, no_keep: bool, port: int, **o: Any
    ) -> None:
        self.console = Console(soft_wrap=True)
        self.step_number = 0
        begun = time.monotonic()
        _refuse_while_running()
        file, mapping = self._input(data, mapping)
        call_command("migrate", interactive=False, verbosity=0)
        _refuse_to_mix(mapping)
        self._line(file, mapping, REAL if data else QUICK)
        minutes = (time.monotonic() - begun) / 60
        self._heading(f"Done in {minutes:.1f} minutes")
        if not no_keep:
            self._keep(port)

    def _input(self, data: Path | None, mapping: str | None) -> tuple[Path, str]:
        if data is None:
            return self._synthetic_shop(), "synthetic_shop"
        if not data.is_file():
            raise CommandError(f"{data} is not a file: pass the path of a CSV or Parquet file")
        try:
            return data, mapping or mapping_for(data)
        except NoMappingFits as error:
            raise CommandError(str(error)) from error

    def _synthetic_shop(self) -> Path:
        self._heading("A synthetic shop (docs/synthetic-shop.md)")
        file = settings.DTOC_HOME / "synthetic-shop.parquet"
        begun = time.monotonic()
        rows = write_parquet(SYNTHETIC, file)
        seconds = time.monotonic() - begun
        self._say(f"{rows:,} events of {SYNTHETIC.customers:,} customers in {seconds:.1f} s: {file}")
        return file

    def _line(self, file: Path, mapping: str, size: Size) -> None:
        steps: list[tuple[str, Callable[[], Any]]] = [
            (f"Import {file.name}", lambda: call_command("import_events", file, mapping=mapping)),
            ("Train the twin", lambda: self._train(size)),
            ("Advance every twin", lambda: call_command("advance_twins")),
            ("Check: advanced twins equal rebuilt ones", self._verify),
            ("One twin", self._show_a_twin),
            ("What if: discount depth x delay", lambda: self._simulate(size)),
            ("Erase one customer", self._erase),
        ]
        for title, step in steps:
            self._heading(title)
            step()

    def _train(self, size: Size) -> None:
        self._say(f"{customer_count():,} customers; validation on the last 30 days")
        call_command("train_twin", epochs=size.epochs, activate=True)

    def _verify(self) -> None:
        call_command("verify_twins", sample=500)

    def _show_a_twin(self) -> None:
        pseudonym = _a_regular_customer(rank=5)
        document = twin_document(pseudonym, as_of=newest_event_at() + timedelta(days=1))
        self._say(f"GET /api/v1/twins/{pseudonym}/ (as of the day after the last event)")
        self.console.print_json(json.dumps(document, default=str))

    def _simulate(self, size: Size) -> None:
        call_command(
            "simulate_campaign",
            name="Demo: discount",
            depths=[0.0, 0.1, 0.2, 0.3, 0.4],
            delays=[0, 1, 7, 14],
            sample=size.audience,
            replicates=size.replicates,
            as_of=newest_event_at() + timedelta(days=1),
        )

    def _erase(self) -> None:
        call_command("erase_customer", pseudonym=_a_regular_customer(rank=12))

    def _keep(self, port: int) -> None:
        """The stack runs in the background, and the user knows how to talk to it."""
        login = admin_login()
        client = create_client(name="demo", scopes=_all_scopes(), replace=True)
        call_command("up", detach=True, port=port)
        stack = running_stack(settings.DTOC_HOME / "up.json")
        web = stack["web"] if stack else f"http://127.0.0.1:{port}"
        pseudonym = _a_regular_customer(rank=5)
        self._say(
            f"Admin    {web}/admin/   user {login.name}, password {login.password}\n"
            f"API      {web}/api/docs/\n"
            f"Flower   {stack['flower'] if stack else ''}/\n\n"
            "Read a twin:\n"
            f"  TOKEN=$(curl -s -u '{client.client_id}:{client.client_secret}' "
            f"-d grant_type=client_credentials {web}/oauth/token/ "
            "| python3 -c 'import json,sys; print(json.load(sys.stdin)[\"access_token\"])')\n"
            f'  curl -s -H "Authorization: Bearer $TOKEN" {web}/api/v1/twins/{pseudonym}/\n\n'
            "Stop it with `make down`."
        )

    def _heading(self, title: str) -> None:
        self.step_number += 1
        sys.stdout.flush()
        self.console.print()
        self.console.print(Rule(f"{self.step_number}. {title}", align="left"))

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False)


def _a_regular_customer(rank: int) -> UUID:
    """One of the customers with the longest streams: there is something to see."""
    return streams_by_length(limit=rank + 1)[-1]


def _refuse_while_running() -> None:
    if running_stack(settings.DTOC_HOME / "up.json"):
        raise CommandError(
            "the stack of this folder is running and would advance twins beside the demo: "
            "stop it with `make down`"
        )


def _refuse_to_mix(mapping: str) -> None:
    """A model trained on two shops at once would describe neither."""
    others = sorted(set(sources()) - {mapping, "dtoc"})
    if others:
        raise CommandError(
            f"the store holds events of {', '.join(others)} already: start afresh with "
            "`make clean`, or keep both apart with `DTOC_HOME=.dtoc-other make demo ...`"
        )


def _all_scopes() -> list[str]:
    from access.scopes import SCOPES

    return list(SCOPES)



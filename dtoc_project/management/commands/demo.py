import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from rich.console import Console
from rich.rule import Rule

from access.scopes import SCOPES
from access.services import create_client
from common.clock import now
from common.errors import DtocError
from customers.selectors import customer_count
from customers.services import erase_now
from dtoc_project.demo_users import admin_login
from dtoc_project.management.commands.up import refuse_ports_in_use, running_stack
from events.detect import mapping_for
from events.selectors import longest_streams, sources
from ml.shop.config import ShopConfig
from ml.shop.write import write_parquet
from twins.documents import twin_document
from twins.selectors import twin_of

SHOWN, ERASED = 4, 11  # ranks by length of the stream: customers with something to see
SHOP_CUSTOMERS, SHOP_DAYS, SHOP_SEED = 2_000, 365, 7
AUDIENCE, REPLICATES = 1_000, 10


@dataclass(frozen=True, slots=True)
class Input:
    """What the demo works on; ``epochs`` keeps the training of each to some minutes on 2 cores."""

    file: Path
    mapping: str
    epochs: int


class Command(BaseCommand):
    help = "The whole line once: import, train, advance, read a twin, simulate, erase."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--data", type=Path, help="a file of events (default: a synthetic shop)"
        )
        parser.add_argument("--mapping", help="how to read it (default: the one that fits)")
        parser.add_argument("--no-keep", action="store_true", help="stop everything at the end")
        parser.add_argument("--port", type=int, default=8000, help="of the web server (8000)")

    def handle(self, *args: Any, **options: Any) -> None:
        self.console = Console(soft_wrap=True, highlight=False)
        self.steps_begun = 0
        begun = time.monotonic()
        try:
            self._line(options)
        except DtocError as error:
            raise CommandError(str(error)) from error
        self._heading(f"Done in {(time.monotonic() - begun) / 60:.1f} minutes")
        if not options["no_keep"]:
            self._keep(options["port"])

    def _line(self, options: dict[str, Any]) -> None:
        _refuse_while_running()
        if not options["no_keep"]:
            refuse_ports_in_use(options["port"])  # now rather than after five minutes
        given = self._input(options["data"], options["mapping"])
        call_command("migrate", interactive=False, verbosity=0)
        _refuse_to_mix(given.mapping)
        for title, step in self._steps(given):
            self._heading(title)
            step()

    def _input(self, data: Path | None, mapping: str | None) -> Input:
        if data is not None:
            return Input(data, mapping or mapping_for(data), epochs=8)
        return Input(self._synthetic_shop(), "synthetic_shop", epochs=5)

    def _synthetic_shop(self) -> Path:
        """A shop whose last day is yesterday, so that its twins are as fresh as a real shop's."""
        start = now().date() - timedelta(days=SHOP_DAYS)
        self._heading("Make a synthetic shop (docs/synthetic-shop.md)")
        config = ShopConfig(customers=SHOP_CUSTOMERS, days=SHOP_DAYS, seed=SHOP_SEED, start=start)
        file: Path = settings.DTOC_HOME / "synthetic-shop.parquet"
        begun = time.monotonic()
        rows = write_parquet(config, file)
        self._say(
            f"{rows:,} events of {config.customers:,} customers since {start}, seed {config.seed}, "
            f"in {time.monotonic() - begun:.1f} s"
        )
        return file

    def _steps(self, given: Input) -> list[tuple[str, Callable[[], object]]]:
        return [
            (
                f"Import {given.file.name}",
                lambda: call_command("import_events", given.file, mapping=given.mapping),
            ),
            ("Train the twin", lambda: self._train(given.epochs)),
            ("Advance every twin", lambda: call_command("advance_twins")),
            ("Compare advanced twins with rebuilt ones", lambda: call_command("verify_twins")),
            ("Read one twin", self._show),
            ("What if? Discount depth x delay", self._simulate),
            ("Erase one customer", self._erase),
        ]

    def _train(self, epochs: int) -> None:
        self._say(f"{customer_count():,} customers; the last 30 days are held out for validation")
        call_command("train_twin", epochs=epochs, activate=True, reason="the demo's newest model")

    def _show(self) -> None:
        pseudonym = _customer(SHOWN)
        self._say(f"GET /api/v1/twins/{pseudonym}/, a day after the customer's last event")
        as_of = (twin_of(pseudonym).clock_at or now()) + timedelta(days=1)
        document = twin_document(pseudonym, as_of=as_of)
        self.console.print_json(json.dumps(document, cls=DjangoJSONEncoder))

    def _simulate(self) -> None:
        call_command(
            "simulate_campaign",
            name="Demo",
            depths=[Decimal(percent) / 100 for percent in (0, 10, 20, 30, 40)],
            delays=[0, 1, 7, 14],
            sample=AUDIENCE,
            replicates=REPLICATES,
        )

    def _erase(self) -> None:
        pseudonym = _customer(ERASED)
        request = erase_now(pseudonym=pseudonym, requested_by="demo", at=now())
        self._say(f"Request {request.id} is {request.status}. The signed receipt:")
        self.console.print_json(json.dumps(request.receipt))
        self._say("The scan, repeated with the pseudonym in plain:")
        call_command("verify_erasure", str(request.id), pseudonym=pseudonym)

    def _keep(self, port: int) -> None:
        """The stack runs in the background, and the user knows how to talk to it."""
        login = admin_login()
        client = create_client(name="demo", scopes=list(SCOPES), replace=True)
        call_command("up", detach=True, port=port)
        stack = running_stack(settings.DTOC_HOME / "up.json")
        if stack is None:
            raise CommandError(f"the stack has stopped: see {settings.DTOC_HOME / 'up.log'}")
        web = stack["web"]
        twin = f"{web}/api/v1/twins/{_customer(SHOWN)}/"
        self._say(
            f"\nAdmin    {web}/admin/   user {login.name}, password {login.password}\n"
            f"API      {web}/api/docs/\n"
            f"Flower   {stack['flower']}/\n\n"
            "Read a twin:\n"
            f"  TOKEN=$(curl -s -u '{client.client_id}:{client.client_secret}' "
            f"-d grant_type=client_credentials {web}/oauth/token/ | "
            "python3 -c 'import json, sys; print(json.load(sys.stdin)[\"access_token\"])')\n"
            f'  curl -s -H "Authorization: Bearer $TOKEN" {twin}\n\n'
            "The stack runs in the background; `make down` stops it."
        )

    def _heading(self, title: str) -> None:
        self.steps_begun += 1
        sys.stdout.flush()
        self.console.print()
        self.console.print(Rule(f"{self.steps_begun}. {title}", align="left"))

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False)


def _customer(rank: int) -> UUID:
    return longest_streams(rank + 1)[-1]


def _refuse_while_running() -> None:
    if running_stack(settings.DTOC_HOME / "up.json"):
        raise CommandError(
            "the stack of this folder is running and would advance twins beside the demo: "
            "stop it with `make down`"
        )


def _refuse_to_mix(mapping: str) -> None:
    """A model trained on two shops at once would describe neither."""
    shops = {source for source in sources() if source in ("online_retail", "synthetic_shop")}
    if others := sorted(shops - {mapping}):
        raise CommandError(
            f"the store holds events of {', '.join(others)} already: start afresh with "
            "`make clean`, or keep both apart with `DTOC_HOME=.dtoc-other make demo ...`"
        )

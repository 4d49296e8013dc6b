"""Imports over HTTP: a file goes in, workers store it, it is deleted whichever way it ends."""

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from common.clock import now
from common.models import Operation, WorkChunk
from common.operations import claim_chunk, expire_operations
from customers.models import DataSubjectRequest
from customers.selectors import lookup_identity
from customers.services import erase_now
from events import tasks
from events.models import Event
from events.models_imports import Import
from events.services import import_chunks, uploads
from tests.events.builders import in_other_connection
from tests.events.imports.builders import HEADER, csv_file, line, lines, ndjson_file

URL = "/api/v1/imports/"
MINUTE = timedelta(minutes=1)
pytestmark = pytest.mark.usefixtures("places")


@pytest.fixture
def places(tmp_path: Path, settings) -> None:
    """Uploads of this test lie in folders of its own, and nobody is told of them."""
    storage = {**settings.STORAGES["imports"], "OPTIONS": {"location": tmp_path / "imports"}}
    settings.STORAGES = {**settings.STORAGES, "imports": storage}
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "incoming"
    settings.FILE_UPLOAD_TEMP_DIR.mkdir()


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """The imports of which workers were told."""
    told: list[str] = []
    monkeypatch.setattr(uploads, "ask_later", lambda task, import_id: told.append(import_id))
    return told


@pytest.fixture
def client(api, asked):
    return api("imports:run")


def content(told: list[str]) -> bytes:
    return "\n".join([HEADER, *told, ""]).encode()


def send(client, told=None, name: str = "orders.csv", headers=None, **form):
    body = told if isinstance(told, bytes) else content(lines(4) if told is None else told)
    file = SimpleUploadedFile(name, body, "text/csv")
    return client.post(URL, {"file": file, **form}, format="multipart", headers=headers or {})


def work(import_id: str, budget=MINUTE, clock=now) -> bool:
    return uploads.run_import(
        import_id=import_id, holder=f"test/{uuid4()}", clock=clock, budget=budget
    )


def begun(client, told=None, **form) -> str:
    answer = send(client, told, **form)
    assert answer.status_code == 202, answer.json()
    return answer.json()["import_id"]


def files() -> list[str]:
    storage = storages["imports"]
    folders = [Path(storage.path("")), Path(storage.path("")).parent / "incoming"]
    return [p.name for folder in folders if folder.exists() for p in folder.iterdir()]


def slug(answer) -> str:
    return answer.json()["type"].removeprefix("/problems/")


def sold() -> int:
    return Event.objects.filter(type="item_purchased").count()


@pytest.mark.usefixtures("committed")
class TestTheWayOfAFile:
    def test_a_file_is_answered_with_an_operation_and_stored_by_a_worker(self, client, asked):
        answer = send(client, [*lines(4), line(9, price="0")], mapping="online_retail")

        assert answer.status_code == 202
        body = answer.json()
        assert answer["Location"] == f"/api/v1/operations/{body['id']}/"
        assert (body["kind"], body["status"]) == ("import", "queued")
        assert body["progress"]["unit"] == "rows"
        assert asked == [body["import_id"]]
        assert len(files()) == 1

        assert work(body["import_id"])
        told = client.get(body["import_url"]).json()
        report = told["report"]
        assert told["operation"]["status"] == "succeeded"
        assert told["operation"]["result_url"] == body["import_url"]
        assert told["operation"]["progress"] == {"done": 21, "total": 21, "unit": "rows"}
        assert (report["rows"], report["accepted"], report["quarantined"]) == (21, 20, 1)
        assert report["reasons"] == {"quarantined": {"price_not_positive": 1}}
        assert files() == []
        assert sold() == 20

    def test_without_a_mapping_the_fitting_one_is_taken_and_a_source_may_be_named(self, client):
        import_id = begun(client, source="shop-2")

        work(import_id)

        told = client.get(f"{URL}{import_id}/").json()
        assert (told["mapping"], told["source"]) == ("online_retail", "shop-2")
        sources = {e.metadata["source"] for e in Event.objects.filter(type="item_purchased")}
        assert sources == {"shop-2"}

    def test_a_worker_hands_on_after_its_budget_and_the_next_one_ends_it(
        self, client, monkeypatch, asked
    ):
        import_id = begun(client, lines(8))
        Import.objects.update(chunk_rows=10)
        asked.clear()
        monkeypatch.setattr(tasks, "IMPORT_BUDGET", timedelta(0))
        monkeypatch.setattr(tasks, "ask_later", lambda task, import_id: asked.append(import_id))

        turns = [tasks.run_import(import_id) for _ in range(5)]

        assert turns == [False, False, False, False, True]  # 10 rows each, then nothing is left
        assert asked == [import_id] * 4
        assert client.get(f"{URL}{import_id}/").json()["report"]["accepted"] == 40
        assert sold() == 40

    def test_a_killed_workers_import_is_found_by_the_sweep_when_its_lease_has_run_out(
        self, client, asked, monkeypatch
    ):
        import_id = begun(client, lines(8))
        Import.objects.update(chunk_rows=10)
        _killed_in_chunk(2, import_id, monkeypatch)
        asked.clear()

        assert uploads.sweep_imports(at=now()) == 0  # the dead one's lease runs
        assert work(import_id)  # so this one leaves it alone
        later = now() + 2 * MINUTE
        assert uploads.sweep_imports(at=later) == 1
        assert asked == [import_id]
        work(import_id, clock=lambda: later)

        report = client.get(f"{URL}{import_id}/").json()["report"]
        assert (report["accepted"], report["duplicates"]) == (40, 0)
        assert files() == []

    def test_a_worker_that_lost_its_lease_commits_nothing(self, client, monkeypatch):
        import_id = begun(client, lines(8))
        Import.objects.update(chunk_rows=10)
        operation_id = Operation.objects.get().id
        fence, calls = import_chunks.Turn.fence, []

        def claim() -> None:
            later = now() + 2 * MINUTE
            assert claim_chunk(operation_id=operation_id, holder="another", at=later)

        def slept_too_long(self):
            calls.append(1)
            if len(calls) == 3:  # the chunk's rows are written, and not yet committed
                in_other_connection(claim).join()
            fence(self)

        monkeypatch.setattr(import_chunks.Turn, "fence", slept_too_long)
        assert work(import_id)

        assert sold() == Import.objects.get().rows == 20
        assert WorkChunk.objects.get().holder == "another"
        assert len(files()) == 1  # the other one goes on with it

    def test_an_import_that_takes_its_workers_down_is_given_up(self, client, monkeypatch):
        import_id = begun(client)
        later = now()
        for _ in range(uploads.MOST_BARREN_TURNS):
            _killed_in_chunk(1, import_id, monkeypatch, clock=lambda at=later: at)
            later += 2 * MINUTE

        assert work(import_id, clock=lambda: later)

        told = client.get(f"{URL}{import_id}/").json()["operation"]
        assert (told["status"], told["error"]["code"]) == ("failed", "import-never-progresses")
        assert files() == []

    def test_cancelled_the_file_is_gone_at_once_and_stored_rows_stay(self, client):
        import_id = begun(client, lines(8))
        Import.objects.update(chunk_rows=10)
        work(import_id, budget=timedelta(0))

        answer = client.post(f"{URL}{import_id}/cancel/")
        again = client.post(f"{URL}{import_id}/cancel/")

        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        assert (again.status_code, slug(again)) == (409, "operation-finished")
        assert files() == []
        assert work(import_id)
        assert sold() == 10

    def test_cancelled_over_the_operation_the_sweep_deletes_the_file(self, client, api):
        import_id = begun(client)
        operation = Operation.objects.get()
        api("simulations:run").post(f"/api/v1/operations/{operation.id}/cancel/")
        assert len(files()) == 1

        uploads.sweep_imports(at=now())

        assert files() == []
        assert Import.objects.get(id=import_id).upload == ""

    def test_an_expired_import_leaves_no_file(self, client):
        begun(client)
        expire_operations(at=now() + timedelta(days=8))

        uploads.sweep_imports(at=now())

        assert files() == []
        assert Operation.objects.get().status == "expired"

    def test_a_file_that_is_damaged_behind_its_header_fails_and_keeps_the_rows_before(
        self, client, tmp_path
    ):
        whole = csv_file(tmp_path / "rows.csv.gz", lines(120_000, per_order=1)).read_bytes()
        import_id = begun(client, whole[:-2_000], name="rows.csv.gz")

        work(import_id)

        told = client.get(f"{URL}{import_id}/").json()
        assert (told["operation"]["status"], told["operation"]["error"]["code"]) == (
            "failed", "file-damaged",
        )  # fmt: skip
        assert "rows.csv.gz cannot be read after" in told["operation"]["error"]["detail"]
        assert files() == []
        assert sold() == told["report"]["accepted"] > 0

    def test_what_a_killed_web_process_left_is_deleted_after_an_hour(self, client, settings):
        begun(client)
        stray = Path(settings.FILE_UPLOAD_TEMP_DIR) / "tmp123.upload.csv"
        stray.write_bytes(b"half a file")
        (Path(storages["imports"].path("")) / "nobody.csv").write_bytes(b"no import owns it")

        uploads.sweep_imports(at=now() + timedelta(minutes=59))
        assert len(files()) == 3
        uploads.sweep_imports(at=now() + timedelta(minutes=61))

        assert len(files()) == 1

    def test_a_key_sent_again_begins_one_import(self, client):
        key = {"Idempotency-Key": str(uuid4())}

        first, again = send(client, headers=key), send(client, headers=key)
        other = send(client, lines(5), headers=key)

        assert first.json() == again.json()
        assert again["Idempotency-Replayed"] == "true"
        assert (other.status_code, slug(other)) == (422, "idempotency-key-reused")
        assert Import.objects.count() == len(files()) == 1

    def test_an_erasure_waits_until_no_file_names_the_person(self, client):
        work(begun(client, [line(1)]))
        person = lookup_identity("crm_id", "15001")
        import_id = begun(client, [line(1, 2), line(2)])

        request = erase_now(pseudonym=person, requested_by="a test", at=now())
        assert request.status == DataSubjectRequest.Status.IN_PROGRESS
        found = [(f["place"], f["count"]) for f in request.findings]
        assert found == [("files that wait to be imported", 1)]

        work(import_id)
        request = erase_now(
            pseudonym=person, requested_by="a test", at=now() + timedelta(minutes=5)
        )
        assert request.status == DataSubjectRequest.Status.COMPLETED
        reasons = client.get(f"{URL}{import_id}/").json()["report"]["reasons"]
        assert reasons == {"refused": {"subject_suppressed": 1}}


def _killed_in_chunk(number: int, import_id: str, monkeypatch, clock=now) -> None:
    """The worker is gone at the commit of its chunk of this number, without a word."""

    class Killed(BaseException):
        pass

    calls: list[int] = []
    move = import_chunks.move_checkpoint

    def killed(*args):
        calls.append(1)
        if len(calls) == number:
            raise Killed
        move(*args)

    with monkeypatch.context() as patch:
        patch.setattr(import_chunks, "move_checkpoint", killed)
        with pytest.raises(Killed):
            work(import_id, clock=clock)


@pytest.mark.django_db
class TestProblems:
    """Each is told at once, with the client's own name for the file, and leaves nothing behind."""

    @pytest.mark.parametrize(
        ("name", "body", "form", "status", "code", "detail"),
        [
            ("a.xls", b"x", {}, 415, "file-unsupported", "a.xls ends in '.xls'"),
            ("a.parquet", b"x" * 99, {}, 422, "file-damaged", "a.parquet cannot be read after 0"),
            ("a.csv", b"x,y\n1,2\n", {}, 422, "no-mapping-fits", "a.csv has the columns of none"),
            (
                "a.csv", b"x,y\n1,2\n", {"mapping": "starbucks"}, 422, "columns-missing",
                "a.csv lacks the columns time, person",
            ),
            ("a.csv", b"x,y\n", {"mapping": "shopify"}, 400, "validation-error", ""),
            ("a.csv", b"x,y\n", {"mapping": "/etc/x.toml"}, 400, "validation-error", ""),
            ("a.csv", b"x,y\n", {"source": "Not this!"}, 400, "validation-error", ""),
            ("a.csv", b"", {}, 400, "validation-error", ""),
        ],
    )  # fmt: skip
    def test_a_file_that_cannot_be_imported(
        self, client, asked, name, body, form, status, code, detail
    ):
        answer = send(client, body, name, **form)

        assert (answer.status_code, slug(answer)) == (status, code)
        assert detail in answer.json()["detail"]
        assert files() == asked == []
        assert not Import.objects.exists()

    def test_no_file_at_all(self, client):
        answer = client.post(URL, {"mapping": "online_retail"}, format="multipart")

        assert (answer.status_code, slug(answer)) == (400, "validation-error")
        assert answer.json()["errors"][0]["pointer"] == "/file"

    def test_no_file_at_all_with_a_key(self, client):
        key = {"Idempotency-Key": str(uuid4())}

        assert client.post(URL, {}, format="multipart", headers=key).status_code == 400

    def test_another_kind_of_body(self, client):
        assert client.post(URL, {"file": "x"}, format="json").status_code == 415

    @pytest.mark.parametrize("too_much", [1, 200_000])
    def test_a_file_over_the_limit(self, client, settings, too_much):
        settings.DTOC_IMPORT_BYTES = 10_000

        answer = send(client, b"x" * (10_000 + too_much))

        assert (answer.status_code, slug(answer)) == (413, "upload-too-large")
        assert "larger than 10000 bytes" in answer.json()["detail"]
        assert files() == []

    def test_a_file_is_never_held_in_memory(self, client, monkeypatch):
        from events.api import imports

        seen = []
        accept = imports.accept_upload
        monkeypatch.setattr(
            imports, "accept_upload", lambda **k: (seen.append(k["path"].is_file()), accept(**k))[1]
        )
        begun(client)

        assert seen == [True]

    def test_an_import_that_is_not_there(self, client):
        for answer in (client.get(f"{URL}{uuid4()}/"), client.post(f"{URL}{uuid4()}/cancel/")):
            assert (answer.status_code, slug(answer)) == (404, "unknown-import")


@pytest.mark.django_db
def test_imports_are_listed_the_newest_first_page_by_page(client):
    ids = [begun(client, lines(n)) for n in (1, 2, 3)]

    first = client.get(URL, {"limit": 2}).json()
    second = client.get(first["next"]).json()

    told = [item["id"] for page in (first, second) for item in page["results"]]
    assert told == ids[::-1]
    assert "report" not in first["results"][0]


@pytest.mark.django_db
def test_every_route_needs_its_scope(api):
    other = api("events:write", "identities:write", "campaigns:read", "simulations:run")

    for answer in (other.get(URL), other.get(f"{URL}{uuid4()}/"), send(other),
                   other.post(f"{URL}{uuid4()}/cancel/")):  # fmt: skip
        assert answer.status_code == 403
    assert Client().get(URL).status_code == 401


@pytest.mark.django_db
def test_a_mapping_that_was_changed_meanwhile_fails_the_import(client):
    import_id = begun(client)
    Import.objects.update(mapping_sha256="0" * 64)

    assert work(import_id)

    told = client.get(f"{URL}{import_id}/").json()["operation"]
    assert (told["status"], told["error"]["code"]) == ("failed", "mapping-invalid")


@pytest.mark.django_db
def test_a_file_of_messages_is_imported_too(client, tmp_path):
    body = ndjson_file(tmp_path / "a.ndjson", [
        {"type": "track", "messageId": "m", "userId": "u", "event": "Product Viewed",
         "properties": {"sku": "s"}, "timestamp": "2024-05-02T12:00:00Z"},
    ]).read_bytes()  # fmt: skip

    import_id = begun(client, body, name="a.ndjson")
    work(import_id)

    assert client.get(f"{URL}{import_id}/").json()["report"]["accepted"] == 1


@pytest.mark.django_db
def test_the_lease_is_given_back_between_turns(client):
    import_id = begun(client, lines(8))
    Import.objects.update(chunk_rows=10)

    work(import_id, budget=timedelta(0))

    assert WorkChunk.objects.get().state == "queued"

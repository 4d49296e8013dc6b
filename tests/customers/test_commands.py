import json
from io import StringIO
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from common.models import Operation
from customers.models import DataSubjectRequest
from customers.receipts import verify_receipt
from tests.builders import DAY, NOON
from tests.customers.builders import register, somebody

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("model_storage")]


def said(*command: str) -> str:
    out = StringIO()
    call_command(*command, stdout=out)
    return out.getvalue()


def leak(value: str) -> Operation:
    return Operation.objects.create(
        kind="x", unit="x", total=1, payload=[value], created_at=NOON, expires_at=NOON + DAY
    )


def test_erase_customer_prints_a_receipt_that_verify_receipt_accepts(tmp_path: Path):
    newcomer = somebody()
    register(newcomer)
    printed = said("erase_customer", "--kind", newcomer.kind, "--value", newcomer.value)
    assert verify_receipt(json.loads(printed))
    file = tmp_path / "receipt.json"
    file.write_text(printed)
    assert "ours and unchanged" in said("verify_receipt", str(file))
    file.write_text(printed.replace('"identities": 1', '"identities": 2'))
    with pytest.raises(CommandError, match="was changed"):
        said("verify_receipt", str(file))
    file.write_text("no JSON")
    with pytest.raises(CommandError, match="not a receipt"):
        said("verify_receipt", str(file))


def test_erase_customer_says_where_something_is_left_and_finishes_once_it_is_gone():
    newcomer = somebody()
    pseudonym = register(newcomer)
    planted = leak(newcomer.value)
    with pytest.raises(CommandError, match=r"common_operation\.payload"):
        said("erase_customer", "--pseudonym", str(pseudonym))
    planted.delete()
    assert verify_receipt(json.loads(said("erase_customer", "--pseudonym", str(pseudonym))))


def test_erase_customer_needs_to_know_whom():
    with pytest.raises(CommandError, match="say whom"):
        said("erase_customer", "--kind", "email")
    with pytest.raises(CommandError, match="no customer"):
        said("erase_customer", "--pseudonym", str(uuid4()))


def test_verify_erasure_repeats_the_scan_and_fails_where_something_came_back():
    newcomer = somebody()
    pseudonym = register(newcomer)
    said("erase_customer", "--pseudonym", str(pseudonym))
    request = str(DataSubjectRequest.objects.get().id)
    report = json.loads(said("verify_erasure", request))
    assert report["clean"] is True
    assert report["searched_for"][0] == "the pseudonym, by its SHA-256, in every UUID"
    assert "1 identity values that are no longer known" in report["not_searched_for"]
    named = json.loads(
        said("verify_erasure", request, "--pseudonym", str(pseudonym), "--identity", *newcomer.key)
    )
    assert "1 identity values, anywhere" in named["searched_for"]
    assert named["stores"] > 0

    leak(str(pseudonym))
    with pytest.raises(CommandError, match="still name the person"):
        said("verify_erasure", request)
    with pytest.raises(CommandError, match="no request"):
        said("verify_erasure", str(uuid4()))

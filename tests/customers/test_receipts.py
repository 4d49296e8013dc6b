import base64
import copy
import json
import stat
import subprocess
from pathlib import Path

import pytest

from customers import receipts
from customers.errors import KeyFileDamaged
from customers.receipts import verify_receipt

BODY = {"request_id": "7", "stores": {"events": {"deleted": 3}}, "where": "Köln"}


def test_a_signed_receipt_verifies_also_after_a_round_trip_through_json(own_keys: Path):
    receipt = json.loads(json.dumps(receipts.signed(BODY)))
    assert verify_receipt(receipt)
    assert verify_receipt(receipt, public_key=receipts.own_public_key())
    assert stat.S_IMODE((own_keys / "signing_key").stat().st_mode) == 0o600


@pytest.mark.parametrize("part", ["body", "signature", "public_key", "algorithm"])
def test_a_receipt_with_any_part_changed_or_missing_does_not_verify(own_keys: Path, part: str):
    receipt = receipts.signed(BODY)
    changed = copy.deepcopy(receipt)
    changed[part] = {**BODY, "request_id": "8"} if part == "body" else receipt[part][:-6] + "AAAA=="
    assert not verify_receipt(changed)
    assert not verify_receipt({name: value for name, value in receipt.items() if name != part})


def test_a_receipt_of_another_installation_is_not_ours(own_keys: Path):
    receipt = receipts.signed(BODY)
    (own_keys / "signing_key").unlink()
    assert verify_receipt(receipt)
    assert not verify_receipt(receipt, public_key=receipts.own_public_key())


def test_openssl_verifies_a_receipt_without_us(own_keys: Path, tmp_path: Path):
    receipt = receipts.signed(BODY)
    canonical = json.dumps(
        receipt["body"], sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    (tmp_path / "body").write_bytes(canonical.encode())
    (tmp_path / "signature").write_bytes(base64.b64decode(receipt["signature"]))
    (tmp_path / "key.pem").write_text(receipt["public_key"])
    command = "openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in body -sigfile signature"
    assert command in str(receipts.__doc__)
    done = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_damaged_signing_key_is_refused(own_keys: Path):
    (own_keys / "signing_key").write_text("nothing")
    (own_keys / "signing_key").chmod(0o600)
    with pytest.raises(KeyFileDamaged):
        receipts.signed(BODY)

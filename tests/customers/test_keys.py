import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from customers import vault
from customers.errors import (
    KeyFileDamaged,
    KeyFileExposed,
    KeyFileMissing,
    SealBroken,
    WrongKey,
)
from customers.keyfiles import read_or_create
from customers.keys import FileKeyProvider, KeyProvider
from tests.customers.builders import register, somebody


def provider_in(folder: Path) -> KeyProvider:
    return FileKeyProvider(folder / "kek", folder / "lookup")


def test_key_files_are_made_at_first_use_and_only_we_can_read_them(tmp_path: Path):
    provider = provider_in(tmp_path / "keys")
    provider.wrap(b"k" * 32, b"")
    provider.lookup_key()
    modes = {stat.S_IMODE((tmp_path / "keys" / name).stat().st_mode) for name in ("kek", "lookup")}
    assert modes == {0o600}
    assert {path.name for path in (tmp_path / "keys").iterdir()} == {"kek", "lookup"}


def test_a_provider_made_again_unwraps_what_the_first_one_wrapped(tmp_path: Path):
    first, again = provider_in(tmp_path), provider_in(tmp_path)
    wrapped = first.wrap(b"k" * 32, b"somebody")
    assert b"k" * 32 not in wrapped
    assert again.unwrap(wrapped, kek_id=first.kek_id, context=b"somebody") == b"k" * 32
    assert again.lookup_key() == first.lookup_key()


def test_the_lookup_key_is_apart_from_the_key_encryption_key(tmp_path: Path):
    provider = provider_in(tmp_path)
    wrapped = provider.wrap(b"k" * 32, b"")
    (tmp_path / "kek").unlink()
    other = provider_in(tmp_path)
    assert other.lookup_key() == provider.lookup_key()
    with pytest.raises(WrongKey, match=other.kek_id):
        other.unwrap(wrapped, kek_id=provider.kek_id, context=b"")


def test_a_wrapped_key_opens_in_its_own_context_only_and_unchanged_only(tmp_path: Path):
    provider = provider_in(tmp_path)
    wrapped = provider.wrap(b"k" * 32, b"somebody")
    with pytest.raises(SealBroken):
        provider.unwrap(wrapped, kek_id=provider.kek_id, context=b"somebody else")
    with pytest.raises(SealBroken):
        provider.unwrap(b"", kek_id=provider.kek_id, context=b"somebody")


def test_keys_for_different_purposes_differ_and_stay_the_same(tmp_path: Path):
    provider = provider_in(tmp_path)
    assert provider.derived_key("a") != provider.derived_key("b")
    assert provider.derived_key("a") == provider_in(tmp_path).derived_key("a")


RACER = """
import sys
from pathlib import Path
from customers.keys import FileKeyProvider
provider = FileKeyProvider(Path(sys.argv[1]) / "kek", Path(sys.argv[1]) / "lookup")
print("ready", flush=True)
sys.stdin.readline()
print(provider.lookup_key().hex())
"""


def test_processes_that_race_for_the_first_use_end_with_one_key(tmp_path: Path):
    command = [sys.executable, "-c", RACER, str(tmp_path / "keys")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    racers = [subprocess.Popen(command, cwd=settings.BASE_DIR, **pipes) for _ in range(4)]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    keys = {racer.communicate(timeout=60)[0] for racer in racers}
    assert len(keys) == 1
    assert len(keys.pop().strip()) == 64


def test_a_process_that_comes_second_returns_the_key_of_the_first(tmp_path: Path):
    path = tmp_path / "key"

    def make_while_another_is_quicker() -> bytes:
        read_or_create(path, make=lambda: b"first")
        return b"second"

    assert read_or_create(path, make=make_while_another_is_quicker) == b"first"
    assert [found.name for found in tmp_path.iterdir()] == ["key"]


def test_a_key_file_that_others_can_read_is_refused_with_what_to_do(tmp_path: Path):
    provider_in(tmp_path).lookup_key()
    (tmp_path / "lookup").chmod(0o644)
    with pytest.raises(KeyFileExposed, match="chmod 600"):
        provider_in(tmp_path).lookup_key()


@pytest.mark.parametrize("content", [b"", b"garbage", b"dtoc-key-1 AAAA 00000000\n", b"\xff\xfe"])
def test_a_damaged_key_file_is_refused_and_kept(tmp_path: Path, content: bytes):
    (tmp_path / "lookup").write_bytes(content)
    (tmp_path / "lookup").chmod(0o600)
    with pytest.raises(KeyFileDamaged, match="backup"):
        provider_in(tmp_path).lookup_key()
    assert (tmp_path / "lookup").read_bytes() == content


def test_a_key_with_one_letter_changed_fails_its_check(tmp_path: Path):
    provider_in(tmp_path).lookup_key()
    path = tmp_path / "lookup"
    mark, key, check = path.read_text().split()
    changed = ("B" if key[0] == "A" else "A") + key[1:]
    path.write_text(f"{mark} {changed} {check}\n")
    with pytest.raises(KeyFileDamaged, match="check"):
        provider_in(tmp_path).lookup_key()


def test_a_lost_key_is_reported_and_not_replaced_while_the_vault_holds_data(db, own_keys: Path):
    register(somebody())
    (own_keys / "kek").unlink()
    vault.key_provider.cache_clear()
    with pytest.raises(KeyFileMissing):
        register(somebody())
    assert not (own_keys / "kek").exists()

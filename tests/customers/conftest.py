from pathlib import Path

import pytest

from customers import lifecycle, vault


@pytest.fixture
def own_keys(tmp_path: Path, settings) -> Path:
    """This test has a vault whose key files are its own; returns their folder."""
    for name in ("KEK", "LOOKUP_KEY", "SIGNING_KEY"):
        setattr(settings, f"DTOC_{name}_FILE", tmp_path / name.lower())
    vault.key_provider.cache_clear()
    yield tmp_path
    vault.key_provider.cache_clear()


@pytest.fixture
def no_subscribers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other app hears of registrations: tests that commit would leave its rows behind."""
    monkeypatch.setattr(lifecycle, "_on_registered", [])

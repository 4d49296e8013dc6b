"""Write keys: made once, kept as a digest, cheap to look up, gone when switched off."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.test import Client

from access.errors import InvalidWriteKey, WriteKeyExists, WriteKeyInactive, WriteKeyUnknown
from access.models import WriteKey
from access.rate_limits import RateLimit
from access.services import create_write_key, deactivate_write_key
from access.write_keys import KEPT_SECONDS, recent_sources, source_of
from tests.builders import DAY, NOON

pytestmark = pytest.mark.django_db
PAGE = "/admin/access/writekey/"


@pytest.fixture(autouse=True)
def _no_key_of_another_test():
    recent_sources.clear()


def signed_in(*permissions: str) -> Client:
    user = User.objects.create_user(f"user-{uuid4()}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def test_a_key_leads_to_its_source():
    plain = create_write_key(name="webshop", at=NOON, currency="EUR", user_id_kind="crm_id").plain

    source = source_of(plain, NOON)

    assert (source.name, source.currency, source.user_id_kind) == ("webshop", "EUR", "crm_id")
    assert source.may_register
    assert source.keeps_unknown_types


def test_the_key_is_not_stored():
    plain = create_write_key(name="webshop", at=NOON).plain

    row = WriteKey.objects.values().get()
    assert plain not in str(row)
    assert plain.encode() not in bytes(row["digest"])
    assert row["shown"] == plain[:8]


def test_a_key_that_nobody_was_given_is_unknown():
    create_write_key(name="webshop", at=NOON)

    with pytest.raises(WriteKeyUnknown):
        source_of("dwk_nonsense", NOON)


def test_a_second_key_of_a_source_is_made_only_on_purpose():
    first = create_write_key(name="webshop", at=NOON)
    with pytest.raises(WriteKeyExists):
        create_write_key(name="webshop", at=NOON)

    second = create_write_key(name="webshop", at=NOON, another=True)

    assert source_of(first.plain, NOON).name == source_of(second.plain, NOON).name == "webshop"
    assert source_of(first.plain, NOON).counted_as != source_of(second.plain, NOON).counted_as


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("currency", "euro"), ("user_id_kind", "anonymous_id"), ("user_id_kind", "Crm-Id"),
        ("burst", 0), ("events_per_second", -1),
    ],
)  # fmt: skip
def test_a_field_that_makes_no_sense_is_refused(field: str, value: object):
    with pytest.raises(InvalidWriteKey, match=f"^{field}: "):
        create_write_key(name="webshop", at=NOON, **{field: value})

    assert not WriteKey.objects.exists()


def test_a_key_that_was_switched_off_is_refused_at_once_in_this_process():
    created = create_write_key(name="webshop", at=NOON)
    source_of(created.plain, NOON)

    deactivate_write_key(write_key_id=created.write_key.id)

    with pytest.raises(WriteKeyInactive, match="webshop"):
        source_of(created.plain, NOON)


def test_a_key_is_looked_up_once_in_five_seconds(
    django_assert_num_queries, monkeypatch: pytest.MonkeyPatch
):
    plain = create_write_key(name="webshop", at=NOON).plain
    moment = [1_000.0]
    monkeypatch.setattr("access.write_keys.time.monotonic", lambda: moment[0])
    source_of(plain, NOON)
    WriteKey.objects.update(is_active=False)  # as another process does it

    moment[0] += KEPT_SECONDS - 0.1
    with django_assert_num_queries(0):
        assert source_of(plain, NOON).is_active
    moment[0] += 0.1
    with pytest.raises(WriteKeyInactive):
        source_of(plain, NOON)


def test_the_day_of_its_last_use_is_noted_once_a_day(django_assert_num_queries):
    plain = create_write_key(name="webshop", at=NOON).plain

    for at in (NOON, NOON + DAY, NOON + timedelta(hours=1)):
        recent_sources.clear()
        source_of(plain, at)
    assert WriteKey.objects.get().last_used_on == (NOON + DAY).date()

    recent_sources.clear()
    with django_assert_num_queries(1):
        source_of(plain, NOON + DAY)


def test_limits_come_from_the_settings_unless_the_key_has_its_own(settings):
    settings.DTOC_WRITE_KEY_EVENTS_PER_SECOND, settings.DTOC_WRITE_KEY_BURST = 7, 70
    plain = create_write_key(name="webshop", at=NOON).plain
    own = create_write_key(name="app", at=NOON, events_per_second=0, burst=9).plain

    assert source_of(plain, NOON).limit == RateLimit(per_second=7, burst=70)
    assert source_of(own, NOON).limit == RateLimit(per_second=0, burst=9)


def test_the_command_prints_the_key_once(capsys):
    call_command("create_write_key", "webshop", "--currency", "EUR", "--no-register")

    plain = capsys.readouterr().out.strip().removeprefix("WRITE_KEY=")
    source = source_of(plain, NOON)
    assert (source.currency, source.may_register) == ("EUR", False)
    with pytest.raises(CommandError, match="--another"):
        call_command("create_write_key", "webshop")


def test_an_admin_makes_a_key_sees_it_once_and_switches_it_off():
    admin = signed_in("view_writekey", "add_writekey", "change_writekey")
    form = {"name": "webshop", "user_id_kind": "user_id", "may_register": "on"}

    page = admin.post(f"{PAGE}add/", form)

    row = WriteKey.objects.get()
    (plain,) = re.findall(r"dwk_[\w-]+", page.content.decode())
    assert source_of(plain, NOON).name == "webshop"
    assert "no-store" in page["Cache-Control"]
    assert "messages" not in page.cookies
    assert plain.encode() not in admin.get(PAGE).content
    assert plain.encode() not in admin.get(f"{PAGE}{row.pk}/change/").content

    answer = admin.post(
        PAGE, {"action": "deactivate", "_selected_action": [str(row.pk)]}, follow=True
    )
    assert b"1 keys are off" in answer.content
    with pytest.raises(WriteKeyInactive):
        source_of(plain, NOON)


def test_an_admin_gets_no_second_key_of_a_source_by_accident():
    admin = signed_in("view_writekey", "add_writekey")
    create_write_key(name="webshop", at=NOON)

    page = admin.post(f"{PAGE}add/", {"name": "webshop", "user_id_kind": "user_id"})

    assert b"The source has a write key" in page.content
    assert WriteKey.objects.count() == 1


def test_who_may_only_look_makes_no_key_and_switches_none_off():
    created = create_write_key(name="webshop", at=NOON)
    viewer = signed_in("view_writekey")

    assert viewer.post(f"{PAGE}add/", {"name": "app"}).status_code == 403
    form = {"action": "deactivate", "_selected_action": [str(created.write_key.pk)]}
    viewer.post(PAGE, form, follow=True)

    assert source_of(created.plain, NOON).is_active

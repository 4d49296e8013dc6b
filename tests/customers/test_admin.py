from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from customers import links
from customers.models import DataSubjectRequest
from customers.services import erase_now
from tests.builders import NOON
from tests.customers.builders import register, somebody

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("model_storage")]
CUSTOMERS, REQUESTS = "/admin/customers/customer/", "/admin/customers/datasubjectrequest/"


def signed_in(*permissions: str) -> Client:
    user = User.objects.create_user(f"user-{uuid4()}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def officer() -> Client:
    return signed_in("view_customer", "view_datasubjectrequest", "erase_customer")


def ask_to_erase(client: Client, pseudonym: UUID, **more: str):
    form = {"action": "erase", "_selected_action": [str(pseudonym)], **more}
    return client.post(CUSTOMERS, form, follow=True)


def test_customers_are_shown_by_pseudonym_and_never_decrypted(officer: Client, monkeypatch):
    monkeypatch.setattr(links, "_links", {})
    links.register_link("Their events", lambda pseudonym: f"/somewhere/{pseudonym}/")
    newcomer = somebody()
    pseudonym = register(newcomer)
    listed = officer.get(CUSTOMERS).content.decode()
    page = officer.get(f"{CUSTOMERS}{pseudonym}/change/").content.decode()
    assert str(pseudonym) in listed
    assert f"/somewhere/{pseudonym}/" in page
    assert "Their events" in page
    assert "email" in page
    assert newcomer.value not in listed + page


def test_the_list_of_customers_does_not_count_the_table(officer, django_assert_max_num_queries):
    register(somebody())
    with django_assert_max_num_queries(20) as queries:
        officer.get(CUSTOMERS)
    counts = [query["sql"] for query in queries.captured_queries if "COUNT(*)" in query["sql"]]
    assert all("LIMIT" in sql for sql in counts if "customers_customer" in sql)


def test_an_erasure_waits_for_the_typed_word_and_shows_what_will_go(officer: Client):
    pseudonym = register(somebody())
    asked = ask_to_erase(officer, pseudonym)
    assert "common.answers" in asked.content.decode()
    ask_to_erase(officer, pseudonym, confirmation="no")
    assert not DataSubjectRequest.objects.exists()

    done = ask_to_erase(officer, pseudonym, confirmation="erase")
    request = DataSubjectRequest.objects.get()
    assert (request.pseudonym, request.status) == (pseudonym, "pending")
    assert f"Erasure {request.id} is under way." in done.content.decode()
    again = ask_to_erase(officer, pseudonym, confirmation="erase")
    assert "under way" in again.content.decode()
    assert DataSubjectRequest.objects.count() == 1


def test_who_may_only_look_cannot_erase():
    client, pseudonym = signed_in("view_customer"), register(somebody())
    ask_to_erase(client, pseudonym, confirmation="erase")
    assert not DataSubjectRequest.objects.exists()


def test_a_request_shows_its_steps_and_its_receipt_and_takes_no_changes(officer: Client):
    request = erase_now(pseudonym=register(somebody()), requested_by="a test", at=NOON)
    page = officer.get(f"{REQUESTS}{request.id}/change/").content.decode()
    assert "destroy identities" in page
    assert request.receipt["signature"].replace("+", "&#x2B;")[:20] in page.replace("+", "&#x2B;")
    assert "completed" in officer.get(REQUESTS).content.decode()
    assert officer.get(f"{REQUESTS}add/").status_code == 403
    assert officer.post(f"{REQUESTS}{request.id}/change/", {}).status_code == 403

"""Clients get the tokens that they were made for, and no more."""

from base64 import b64encode

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from access.errors import ClientExists, UnknownScope
from access.services import ClientCredentials, create_client

pytestmark = pytest.mark.django_db


def ask_for_token(client: ClientCredentials, **form: str):
    basic = b64encode(f"{client.client_id}:{client.client_secret}".encode()).decode()
    body = {"grant_type": "client_credentials", **form}
    return Client().post("/oauth/token/", body, headers={"Authorization": f"Basic {basic}"})


def test_a_client_gets_a_token_for_its_scopes():
    crm = create_client(name="crm", scopes=["events:write", "twins:read"])

    answer = ask_for_token(crm)

    assert answer.status_code == 200
    assert answer.json()["scope"] == "events:write twins:read"
    assert answer.json()["expires_in"] == 3600


def test_a_client_gets_no_token_for_a_scope_that_it_was_not_given():
    crm = create_client(name="crm", scopes=["events:write"])

    answer = ask_for_token(crm, scope="requests:manage")

    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_scope"


def test_a_wrong_secret_gets_no_token():
    crm = create_client(name="crm", scopes=["events:write"])

    answer = ask_for_token(ClientCredentials("crm", crm.client_id, "wrong"))

    assert answer.status_code == 401


def test_the_secret_is_not_stored():
    from access.models import ApiClient

    crm = create_client(name="crm", scopes=["events:write"])

    stored = ApiClient.objects.get(name="crm").client_secret
    assert stored != crm.client_secret
    assert stored.startswith("pbkdf2_") or "$" in stored


def test_a_scope_that_does_not_exist_is_refused_with_the_list_of_those_that_do():
    with pytest.raises(UnknownScope, match=r"no scope twin:read; the scopes are events:write"):
        create_client(name="crm", scopes=["twin:read"])


def test_a_second_client_of_the_same_name_is_refused_unless_it_replaces_the_first():
    create_client(name="crm", scopes=["events:write"])

    with pytest.raises(ClientExists):
        create_client(name="crm", scopes=["events:write"])
    replaced = create_client(name="crm", scopes=["twins:read"], replace=True)

    assert ask_for_token(replaced).json()["scope"] == "twins:read"


def test_the_command_prints_what_a_shell_can_read(capsys):
    call_command("create_client", "crm", "--scopes", "events:write")

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("CLIENT_ID=")
    assert lines[1].startswith("CLIENT_SECRET=")


def test_the_command_explains_a_wrong_scope():
    with pytest.raises(CommandError, match="there is no scope nonsense"):
        call_command("create_client", "crm", "--scopes", "nonsense")

"""What a body may look like on its way in: JSON, NDJSON, CloudEvents, each of them gzipped."""

import gzip
import json
from collections import Counter
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.ids import derived_id
from customers.models import DataSubjectRequest, Suppression
from customers.selectors import lookup_identity
from customers.vault import identity_digest, open_body
from events.models import QuarantinedEvent
from events.selectors import intake_counts, stream_events
from tests.builders import DAY, NOON
from tests.events.builders import sent

URL = "/api/v1/events/"
JSON = "application/json"
NDJSON = "application/x-ndjson"
CLOUD = "application/cloudevents+json"
CLOUD_BATCH = "application/cloudevents-batch+json"
COUNTS = ("accepted", "duplicates", "quarantined", "refused")


@pytest.fixture
def client(api):
    return api("events:write", "identities:write")


def encoded(value) -> bytes:
    return json.dumps(value, default=str).encode()


def lines_of(values) -> bytes:
    return b"".join(encoded(value) + b"\n" for value in values)


def post(client, body: bytes, media_type: str = JSON, encoding: str = ""):
    headers = {"Content-Encoding": encoding} if encoding else {}
    return client.post(URL, data=body, content_type=media_type, headers=headers)


def counts(answer) -> list[int]:
    return [answer.json()[name] for name in COUNTS]


def problems(answer) -> list[tuple]:
    return [(p["index"], p["status"], p["code"]) for p in answer.json()["problems"]]


def slug(answer) -> str:
    return answer.json()["type"].removeprefix("/problems/")


def stored(stream: UUID) -> list[tuple]:
    events = stream_events(stream, after=0, limit=100)
    return [
        (e.version, e.event_id, e.type, e.occurred_at, json.loads(e.data), json.loads(e.metadata))
        for e in events
    ]


def cloud(subject, event_id: str = "536365-1", **changes) -> dict:
    """An order line as a CloudEvent; ``data`` changes single fields of the data."""
    native = sent(None, data=changes.pop("data", {}))
    event = {
        "specversion": "1.0",
        "id": event_id,
        "source": "/shops/london",
        "type": native["type"],
        "subject": str(subject),
        "time": native["occurred_at"],
        "data": native["data"],
    }
    return {name: value for name, value in {**event, **changes}.items() if value is not ...}


# NDJSON


def test_ndjson_holds_one_event_a_line_and_empty_lines_are_skipped(client, customer):
    one, two = (encoded(sent(customer, data={"line_no": n})) for n in (1, 2))

    answer = post(client, b"\n" + one + b"\r\n \t\r\n\n" + two, NDJSON)

    assert answer.status_code == 200
    assert counts(answer) == [2, 0, 0, 0]
    assert [event[0] for event in stored(customer)] == [1, 2, 3]


def test_ndjson_of_one_line_is_a_batch(client, customer):
    assert counts(post(client, encoded(sent(customer)), NDJSON)) == [1, 0, 0, 0]


def test_a_line_without_an_id_and_a_natural_key_is_refused_as_in_an_array(client, customer):
    event = {**sent(customer), "type": "item_viewed", "data": {"sku": "85123A"}}

    answer = post(client, encoded(event), NDJSON)

    assert counts(answer) == [0, 0, 0, 1]
    assert problems(answer) == [(0, 422, "event-id-missing")]


@pytest.mark.parametrize("body", [b"", b"\n\n \r\n"])
def test_ndjson_without_a_line_is_an_empty_batch(client, body):
    answer = post(client, body, NDJSON)

    assert answer.status_code == 200
    assert counts(answer) == [0, 0, 0, 0]


@pytest.mark.parametrize(
    "line",
    [
        b"nope",
        b"{",
        b'{"type": 1, nonsense',
        b'{"customer": null} {}',
        b'{"type": "\xff"}',
        b'{"data": "\xff"}',
        b"NaN",
        b"[" * 100_000,
    ],
)
def test_a_line_that_is_no_json_is_quarantined_with_its_index_and_sinks_nothing(
    client, customer, line
):
    good = [encoded(sent(customer, data={"line_no": n})) for n in (1, 2)]

    answer = post(client, b"\n".join([good[0], b"", line, good[1]]), NDJSON)

    assert answer.status_code == 207
    assert counts(answer) == [2, 0, 1, 0]
    assert problems(answer) == [(1, 422, "malformed")]
    kept = QuarantinedEvent.objects.get()
    assert (kept.reason, open_body(bytes(kept.body))) == ("malformed", line)


@pytest.mark.parametrize("line", [b"17", b"[]", b'"text"', b"null"])
def test_a_line_of_json_that_is_no_event_is_a_schema_error(client, line):
    assert problems(post(client, line, NDJSON)) == [(0, 422, "schema-error")]


@pytest.mark.parametrize("media_type", [NDJSON, CLOUD_BATCH])
def test_more_than_5000_events_answer_413_whatever_their_form(client, customer, media_type):
    event = encoded(cloud(customer))
    bodies = {NDJSON: b"\n \n".join([b"{}"] * 5_001), CLOUD_BATCH: b"[%s]"}
    bodies[CLOUD_BATCH] %= b",".join([event] * 5_001)

    answer = post(client, bodies[media_type], media_type)

    assert answer.status_code == 413
    assert slug(answer) == "batch-too-large"
    assert "5001 events, at most 5000" in answer.json()["detail"]
    assert not QuarantinedEvent.objects.exists()


def test_5000_lines_are_taken_however_many_empty_ones_lie_between(client):
    answer = post(client, b"\n \n".join([b"{}"] * 5_000), NDJSON)

    assert counts(answer) == [0, 0, 5_000, 0]


# gzip


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", " gzip "])
def test_a_gzipped_body_is_unpacked(client, customer, encoding):
    answer = post(client, gzip.compress(encoded(sent(customer))), JSON, encoding)

    assert answer.status_code == 201


def test_a_gzip_of_several_members_is_one_body(client, customer):
    members = [gzip.compress(encoded(sent(customer, data={"line_no": n})) + b"\n") for n in (1, 2)]

    assert counts(post(client, b"".join(members), NDJSON, "gzip")) == [2, 0, 0, 0]


def test_identity_means_that_the_body_is_not_packed(client, customer):
    assert post(client, encoded(sent(customer)), JSON, "identity").status_code == 201


WHOLE = gzip.compress(b"[" + b"\n" * 1_000 + b"]")


@pytest.mark.parametrize("media_type", [JSON, NDJSON, CLOUD, CLOUD_BATCH])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        WHOLE[:12],
        WHOLE[:-1],
        WHOLE[:-8] + b"\0" * 8,
        WHOLE[:10] + b"\xff" * 8 + WHOLE[18:],
        WHOLE + b"rest",
    ],
    ids=["empty", "plain", "header", "cut", "checksum", "damaged", "trailing"],
)
def test_a_damaged_gzip_answers_400(client, media_type, body):
    answer = post(client, body, media_type, "gzip")

    assert answer.status_code == 400
    assert slug(answer) == "body-malformed"
    assert "gzip" in answer.json()["detail"]


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "zstd"])
@pytest.mark.parametrize("body", [b"", b"[]"])
def test_an_unknown_encoding_answers_415(client, encoding, body):
    answer = post(client, body, JSON, encoding)

    assert answer.status_code == 415
    assert slug(answer) == "content-encoding-unknown"


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_a_body_just_as_large_as_allowed_is_taken_and_one_byte_more_answers_413(
    client, settings, encoding
):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10_000
    bodies = [b"[" + b" " * blanks + b"]" for blanks in (9_998, 9_999)]
    if encoding:
        bodies = [gzip.compress(body) for body in bodies]

    fits, is_too_large = (post(client, body, JSON, encoding) for body in bodies)

    assert fits.status_code == 200
    assert is_too_large.status_code == 413
    assert slug(is_too_large) == "body-too-large"


def test_a_bomb_is_not_unpacked_whole(client, settings, monkeypatch):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100_000
    unpacked = []
    read = gzip._GzipReader.read

    def counting(self, size=-1):
        data = read(self, size)
        unpacked.append(len(data))
        return data

    monkeypatch.setattr(gzip._GzipReader, "read", counting)

    answer = post(client, gzip.compress(b" " * 50_000_000), JSON, "gzip")

    assert answer.status_code == 413
    assert 100_000 < sum(unpacked) < 300_000


# CloudEvents


def test_a_cloud_event_answers_201_and_is_known_by_source_and_id(client, customer):
    first = post(client, encoded(cloud(customer)), CLOUD)
    again = post(client, encoded(cloud(customer)), CLOUD)
    other_source = post(client, encoded(cloud(customer, source="/shops/paris")), CLOUD)
    other_content = post(client, encoded(cloud(customer, data={"quantity": 7})), CLOUD)

    assert first.status_code == 201
    assert first.json()["event_id"] == str(derived_id("/shops/london", "536365-1"))
    assert first.json()["occurred_at"] == "2011-05-02T12:00:00.000Z"
    assert first.json()["data"]["unit_price"] == "2.55"
    assert (again.status_code, again.json()["duplicate"]) == (200, True)
    assert other_source.status_code == 201
    assert (other_content.status_code, slug(other_content)) == (409, "event-id-conflict")


def test_the_source_of_a_cloud_event_is_stored_as_that_of_a_context_is(client, customer):
    told = cloud(customer, source="shop of jane.roe@example.org")
    native = sent(customer, data={"line_no": 2}, context={"source": told["source"]})

    stored_sources = [
        post(client, encoded(body), media_type).json()["metadata"]["source"]
        for body, media_type in ((told, CLOUD), (native, JSON))
    ]

    assert stored_sources[0] == stored_sources[1]
    assert stored_sources[0].startswith("hmac:")


def test_a_subject_of_kind_and_value_is_an_identity(client):
    value = f"urn:{uuid4().hex}"

    answer = post(client, encoded(cloud(f"crm_id:{value}")), CLOUD)

    assert answer.status_code == 201
    assert answer.json()["customer"] == str(lookup_identity("crm_id", value))


def test_an_identity_that_may_not_be_registered_is_quarantined(api):
    answer = post(api("events:write"), encoded(cloud(f"crm_id:{uuid4().hex}")), CLOUD)

    assert answer.status_code == 422
    assert "unknown_customer" in answer.json()["detail"]


@pytest.mark.parametrize("specversion", ["0.3", "1.0.2", 1.0, None, ...])
def test_another_specversion_is_the_items_problem_in_a_batch_and_400_alone(
    client, customer, specversion
):
    bad = cloud(customer, event_id="bad", specversion=specversion)

    alone = post(client, encoded(bad), CLOUD)
    batch = post(client, encoded([cloud(customer), bad]), CLOUD_BATCH)

    assert (alone.status_code, slug(alone)) == (400, "body-malformed")
    assert "specversion" in alone.json()["detail"]
    assert batch.status_code == 207
    assert counts(batch) == [1, 0, 1, 0]
    assert problems(batch) == [(1, 422, "schema-error")]
    assert batch.json()["problems"][0]["event_id"] == str(derived_id("/shops/london", "bad"))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"id": ...}, "schema-error"),
        ({"id": ""}, "schema-error"),
        ({"id": "a\x1fb"}, "schema-error"),
        ({"source": ...}, "schema-error"),
        ({"source": "x" * 201}, "schema-error"),
        ({"time": ...}, "schema-error"),
        ({"time": "2011-05-02T12:00:00"}, "schema-error"),
        ({"data": ...}, "schema-error"),
        ({"subject": ...}, "no-customer"),
        ({"subject": None}, "no-customer"),
        ({"subject": "17850"}, "schema-error"),
        ({"subject": "CRM:17850"}, "schema-error"),
        ({"subject": "crm_id:"}, "schema-error"),
        ({"type": "item_admired"}, "unknown-type"),
        ({"type": ...}, "schema-error"),
    ],
)
def test_a_faulty_cloud_event_is_quarantined_with_the_reason(client, customer, changes, code):
    bad = {**cloud(customer, event_id="bad"), **changes}
    bad = {name: value for name, value in bad.items() if value is not ...}

    alone = post(client, encoded(bad), CLOUD)
    batch = post(client, encoded([cloud(customer), 17, bad]), CLOUD_BATCH)

    assert (alone.status_code, slug(alone)) == (422, "event-quarantined")
    assert code.replace("-", "_") in alone.json()["detail"]
    assert batch.status_code == 207
    assert sum(counts(batch)) == 3
    assert problems(batch)[0] == (1, 422, "schema-error")
    assert problems(batch)[1] in [(2, 422, code), (2, 422, "quarantined-before")]


def test_a_faulty_cloud_event_stays_with_the_customer_it_is_about(client, customer):
    post(client, encoded([cloud(customer, time="soon")]), CLOUD_BATCH)

    kept = QuarantinedEvent.objects.get()
    assert kept.stream == customer
    assert kept.event_id == derived_id("/shops/london", "536365-1")


@pytest.mark.django_db
def test_of_an_erased_subject_no_cloud_event_is_kept_faulty_or_not(client):
    request = DataSubjectRequest.objects.create(
        pseudonym=uuid4(),
        pseudonym_sha256="0" * 64,
        right="erasure",
        status="in_progress",
        requested_by="test",
        requested_at=NOON,
        due_at=NOON + DAY,
    )
    value = uuid4().hex
    digest = identity_digest("crm_id", value)
    Suppression.objects.create(kind="crm_id", digest=digest, request=request)
    subject = f"crm_id:{value}"

    events = [cloud(subject), cloud(subject, time="soon"), cloud(subject, id=1)]
    answer = post(client, encoded(events), CLOUD_BATCH)

    assert counts(answer) == [0, 0, 0, 3]
    assert {code for _, _, code in problems(answer)} == {"subject-suppressed"}
    assert not QuarantinedEvent.objects.exists()


def test_extension_attributes_of_a_cloud_event_are_left_aside(client, customer):
    event = cloud(customer, traceparent="00-1", datacontenttype="application/json")

    assert post(client, encoded(event), CLOUD).status_code == 201


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"[]", CLOUD),
        (b"", CLOUD),
        (b"nope", CLOUD),
        (b"{}", CLOUD_BATCH),
        (b"", CLOUD_BATCH),
        (b'[{"id": "\xff"}]', CLOUD_BATCH),
        (b'{"id": "\xff", "specversion": "1.0"}', CLOUD),
        (b'{"type": "\xff"}', JSON),
        (b'[{"data": "\xff"}]', JSON),
        (b"[" * 100_000, JSON),
        (b'{"a":' * 100_000, CLOUD),
    ],
)
def test_a_body_of_another_form_than_its_media_type_says_answers_400(client, body, media_type):
    answer = post(client, body, media_type)

    assert answer.status_code == 400
    assert slug(answer) == "body-malformed"


@pytest.mark.parametrize("body", [b"", b"[]"])
def test_a_media_type_that_is_not_listed_answers_415_also_without_a_body(client, body):
    assert post(client, body, "text/plain").status_code == 415


# All of them alike


order_lines = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["1", "2", "3", "4"]),
        "who": st.sampled_from(["first", "second", "nobody"]),
        "type": st.sampled_from(["item_purchased", "item_purchased", "item_admired"]),
        "time": st.sampled_from(["2011-05-02T12:00:00Z", "2011-05-03T14:00:00+02:00", "soon"]),
        "quantity": st.sampled_from([6, -6, 0]),
        "unit_price": st.sampled_from(["2.55", "2.550", "0", "many"]),
    }
)


@pytest.fixture
def people(client) -> dict[str, UUID]:
    """Two customers and a pseudonym that nobody has."""
    values = [uuid4().hex, uuid4().hex]
    for value in values:
        post(client, encoded(cloud(f"crm_id:{value}", event_id=value)), CLOUD)
    first, second = (lookup_identity("crm_id", value) for value in values)
    return {"first": first, "second": second, "nobody": uuid4()}


def as_native(line: dict, people: dict) -> dict:
    return sent(
        people[line["who"]],
        type=line["type"],
        occurred_at=line["time"],
        data={name: line[name] for name in ("quantity", "unit_price")},
        event_id=derived_id("/shops/london", line["id"]),
        context={"source": "/shops/london"},
    )


def as_cloud(line: dict, people: dict) -> dict:
    return cloud(
        people[line["who"]],
        line["id"],
        type=line["type"],
        time=line["time"],
        data={name: line[name] for name in ("quantity", "unit_price")},
    )


def ended(client, body: bytes, media_type: str, encoding: str, people: dict) -> dict:
    """The answer, the streams, the quarantine and the counters; nothing of them stays.

    Details are left out: they name a field as the sender does, ``time`` or ``occurred_at``.
    """
    with transaction.atomic():
        before = Counter(intake_counts())
        answer = post(client, gzip.compress(body) if encoding else body, media_type, encoding)
        found = {
            "status": answer.status_code,
            "counts": counts(answer),
            "problems": [{**p, "detail": ""} for p in answer.json()["problems"]],
            "streams": {who: stored(stream) for who, stream in people.items()},
            "quarantine": sorted(
                QuarantinedEvent.objects.values_list("event_id", "reason", "stream")
            ),
            "counted": Counter(intake_counts()) - before,
        }
        transaction.set_rollback(True)
    return found


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(order_lines, max_size=8))
def test_the_same_events_end_alike_in_whatever_form_they_are_sent(client, people, lines):
    native = [as_native(line, people) for line in lines]
    bodies = {
        JSON: encoded(native),
        NDJSON: lines_of(native),
        CLOUD_BATCH: encoded([as_cloud(line, people) for line in lines]),
    }

    first, *others = [
        ended(client, body, media_type, encoding, people)
        for media_type, body in bodies.items()
        for encoding in ("", "gzip")
    ]

    for other in others:
        assert other == first
    outcomes = Counter()
    for (_, outcome, _), count in first["counted"].items():
        outcomes[outcome] += count
    assert outcomes.pop("received", 0) == sum(outcomes.values()) == len(lines)
    assert sum(first["counts"]) == len(lines)


def test_the_document_shows_every_body_with_an_example():
    schema = json.loads(Client().get("/api/schema/", headers={"Accept": JSON}).content)

    content = schema["paths"][URL]["post"]["requestBody"]["content"]
    assert set(content) == {JSON, NDJSON, CLOUD, CLOUD_BATCH}
    for media_type, body in content.items():
        assert body["examples"], media_type


@pytest.mark.parametrize("media_type", [JSON, NDJSON, CLOUD, CLOUD_BATCH])
def test_the_examples_of_the_document_are_accepted(client, media_type):
    schema = json.loads(Client().get("/api/schema/", headers={"Accept": JSON}).content)
    examples = schema["paths"][URL]["post"]["requestBody"]["content"][media_type]["examples"]

    for example in examples.values():
        value = example["value"]
        body = value.encode() if isinstance(value, str) else encoded(value)
        assert post(client, body, media_type).status_code in (200, 201)

"""The OpenAPI document describes what campaigns answer."""

from drf_spectacular.generators import SchemaGenerator

from campaigns.api.campaigns import CampaignSerializer
from campaigns.api.results import ResultSerializer
from tests.campaigns.builders import campaign, finished, started

ROUTES = {
    "/api/v1/campaigns/": {"get", "post"},
    "/api/v1/campaigns/{campaign_id}/": {"get"},
    "/api/v1/campaigns/{campaign_id}/simulations/": {"get", "post"},
    "/api/v1/audiences/": {"post"},
    "/api/v1/audiences/{audience_id}/": {"get"},
    "/api/v1/simulations/{simulation_id}/": {"get"},
}


def names(serializer) -> set[str]:
    return set(serializer.fields)


def test_every_route_is_described_with_its_answer():
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]

    for route, methods in ROUTES.items():
        assert methods <= paths[route].keys()
        for method in methods:
            answers = paths[route][method]["responses"]
            assert any(code.startswith("2") for code in answers), (route, method)


def test_a_result_has_exactly_the_fields_that_the_document_promises(shop):
    result = finished(started()).result
    fields = ResultSerializer().fields

    assert result.keys() == fields.keys()
    assert result["scenarios"][0].keys() == names(fields["scenarios"].child)
    for arm in (result["control"], result["scenarios"][0]["treated"]):
        assert arm.keys() == names(fields["control"])
    assert result["scenarios"][0]["uplift"].keys() == names(
        fields["scenarios"].child.fields["uplift"]
    )
    for part in ("customers", "response", "horizon", "interval"):
        assert result[part].keys() == names(fields[part])


def test_a_campaign_has_exactly_the_fields_that_the_document_promises(db):
    data = CampaignSerializer(campaign()).data

    assert data.keys() == names(CampaignSerializer())

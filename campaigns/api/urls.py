from django.urls import path

from campaigns.api.audiences import AudiencesView, AudienceView
from campaigns.api.campaigns import CampaignsView, CampaignView
from campaigns.api.simulations import CampaignSimulationsView, SimulationView

urlpatterns = [
    path("campaigns/", CampaignsView.as_view(), name="campaigns"),
    path("campaigns/<uuid:campaign_id>/", CampaignView.as_view(), name="campaign"),
    path(
        "campaigns/<uuid:campaign_id>/simulations/",
        CampaignSimulationsView.as_view(),
        name="campaign-simulations",
    ),
    path("audiences/", AudiencesView.as_view(), name="audiences"),
    path("audiences/<uuid:audience_id>/", AudienceView.as_view(), name="audience"),
    path("simulations/<uuid:simulation_id>/", SimulationView.as_view(), name="simulation"),
]

from django.urls import path

from campaigns.api.audiences import AudiencesView, AudienceView
from campaigns.api.campaigns import CampaignsView, CampaignView
from campaigns.api.compare import SimulationsCompareView
from campaigns.api.decisions import (
    CustomerDecisionsView,
    DecisionsView,
    DecisionView,
    OutcomeView,
)
from campaigns.api.launches import (
    CampaignExposuresView,
    CampaignLaunchesView,
    CustomerExposuresView,
    LaunchCancelView,
    LaunchExportView,
    LaunchSettleView,
    LaunchView,
)
from campaigns.api.ledger import LedgerSummaryView, LedgerView
from campaigns.api.live_offers import (
    CampaignLiveOffersView,
    LiveOfferCloseView,
    LiveOffersView,
    LiveOfferView,
)
from campaigns.api.products import ProductsView, ProductView
from campaigns.api.simulations import CampaignSimulationsView, SimulationView

urlpatterns = [
    path("campaigns/", CampaignsView.as_view(), name="campaigns"),
    path("campaigns/<uuid:campaign_id>/", CampaignView.as_view(), name="campaign"),
    path(
        "campaigns/<uuid:campaign_id>/simulations/",
        CampaignSimulationsView.as_view(),
        name="campaign-simulations",
    ),
    path("products/", ProductsView.as_view(), name="products"),
    path("products/<path:sku>/", ProductView.as_view(), name="product"),
    path("audiences/", AudiencesView.as_view(), name="audiences"),
    path("audiences/<uuid:audience_id>/", AudienceView.as_view(), name="audience"),
    path("simulations/compare/", SimulationsCompareView.as_view(), name="simulations-compare"),
    path("simulations/<uuid:simulation_id>/", SimulationView.as_view(), name="simulation"),
    path(
        "campaigns/<uuid:campaign_id>/launches/",
        CampaignLaunchesView.as_view(),
        name="campaign-launches",
    ),
    path(
        "campaigns/<uuid:campaign_id>/exposures/",
        CampaignExposuresView.as_view(),
        name="campaign-exposures",
    ),
    path(
        "customers/<uuid:pseudonym>/exposures/",
        CustomerExposuresView.as_view(),
        name="customer-exposures",
    ),
    path("launches/<uuid:launch_id>/", LaunchView.as_view(), name="launch"),
    path("launches/<uuid:launch_id>/settle/", LaunchSettleView.as_view(), name="launch-settle"),
    path("launches/<uuid:launch_id>/cancel/", LaunchCancelView.as_view(), name="launch-cancel"),
    path("launches/<uuid:launch_id>/export.csv", LaunchExportView.as_view(), name="launch-export"),
    path(
        "campaigns/<uuid:campaign_id>/live-offers/",
        CampaignLiveOffersView.as_view(),
        name="campaign-live-offers",
    ),
    path("live-offers/", LiveOffersView.as_view(), name="live-offers"),
    path("live-offers/<uuid:live_offer_id>/", LiveOfferView.as_view(), name="live-offer"),
    path(
        "live-offers/<uuid:live_offer_id>/close/",
        LiveOfferCloseView.as_view(),
        name="live-offer-close",
    ),
    path("decisions/", DecisionsView.as_view(), name="decisions"),
    path("decisions/<uuid:decision_id>/", DecisionView.as_view(), name="decision"),
    path("decisions/<uuid:exposure_id>/outcome/", OutcomeView.as_view(), name="decision-outcome"),
    path(
        "customers/<uuid:pseudonym>/decisions/",
        CustomerDecisionsView.as_view(),
        name="customer-decisions",
    ),
    path("ledger/", LedgerView.as_view(), name="ledger"),
    path("ledger/summary/", LedgerSummaryView.as_view(), name="ledger-summary"),
]

"""Errors of decisions.

DtocError
  UnknownLiveOffer, InvalidLiveOffer
  UnknownDecision, CustomerRestricted
  NothingToReport, AlreadyReported, InvalidReport
"""

from common.errors import DtocError


class UnknownLiveOffer(DtocError):
    code = "unknown-live-offer"
    title = "There is no such live offer"
    template = "there is no live offer {live_offer_id}: GET /api/v1/live-offers/ lists them"


class InvalidLiveOffer(DtocError):
    code = "invalid-live-offer"
    title = "The offer cannot go live like this"
    template = "{field} is {value}, expected {expected}: change it and open the offer again"


class UnknownDecision(DtocError):
    code = "unknown-decision"
    title = "There is no such decision"
    template = (
        "there is no decision {decision_id} (or no longer: decisions are kept for {days} days and "
        "erased with the customer): take the exposure_id from the answer to POST /api/v1/decisions/"
    )


class CustomerRestricted(DtocError):
    code = "customer-restricted"
    title = "This customer's data may not be used"
    template = (
        "the data of customer {pseudonym} may be stored and not used: make no offer, until the "
        "restriction is lifted"
    )


class NothingToReport(DtocError):
    code = "nothing-to-report"
    title = "The decision has no outcome to report"
    template = (
        "decision {decision_id} made no offer and held none back, so there was nothing to show: "
        "report decisions that have an exposure_id only"
    )


class AlreadyReported(DtocError):
    code = "already-reported"
    title = "Another outcome was reported"
    template = (
        "decision {decision_id} was reported as {outcome} at {reported_at}: what was reported "
        "first stands, so send the same again or nothing"
    )


class InvalidReport(DtocError):
    code = "invalid-report"
    title = "The outcome cannot have been then"
    template = (
        "at is {value}, expected a moment from the decision at {decided_at} to now, {now}: send "
        "the moment at which it was shown, or leave it out"
    )

"""Errors of campaigns.

DtocError
  UnknownCampaign, UnknownAudience, UnknownSimulation
  InvalidCampaign, InvalidFilter, EmptyAudience
  InvalidSimulation, GridTooLarge, NotRepeatable
  InvalidComparison, NotComparable
  UnknownLaunch, InvalidLaunch, SimulationNotFinished, LaunchOverlaps
  LaunchNotRunning, SettledTooEarly
"""

from common.errors import DtocError


class UnknownCampaign(DtocError):
    code = "unknown-campaign"
    title = "There is no such campaign"
    template = (
        "there is no campaign {campaign_id}: list them with GET /api/v1/campaigns/ or create one "
        "with POST"
    )


class UnknownAudience(DtocError):
    code = "unknown-audience"
    title = "There is no such audience"
    template = (
        "there is no audience {audience_id}: evaluate one with POST /api/v1/audiences/ and use the "
        "id in the answer"
    )


class UnknownSimulation(DtocError):
    code = "unknown-simulation"
    title = "There is no such simulation"
    template = (
        "there is no simulation {simulation_id}: take the id from the answer to "
        "POST /api/v1/campaigns/ID/simulations/"
    )


class InvalidCampaign(DtocError):
    code = "invalid-campaign"
    title = "The campaign cannot be like this"
    template = "{field} is {value}, expected {expected}: send another value"


class UnknownProduct(DtocError):
    code = "unknown-product"
    title = "There is no such product"
    template = "nothing is known of the SKU {sku}: send it to /api/v1/products/ first"


class InvalidProduct(DtocError):
    code = "invalid-product"
    title = "The product cannot be like this"
    template = "row {row}: {field} is {value}, expected {expected}: mend it and send all rows again"


class InvalidFilter(DtocError):
    code = "invalid-audience-filter"
    title = "The audience's filter contradicts itself or is out of range"
    template = "{field} is {value}, expected {expected}: send another value or leave it out"


class EmptyAudience(DtocError):
    code = "empty-audience"
    title = "Nobody is in this audience"
    template = (
        "nobody is left of {considered} customers (left out: {left_out}): widen the filter, or let "
        "the twins catch up; nothing was stored"
    )


class InvalidSimulation(DtocError):
    code = "invalid-simulation"
    title = "The simulation cannot be run like this"
    template = "{field} is {value}, expected {expected}: change it and start again"


class GridTooLarge(DtocError):
    code = "grid-too-large"
    title = "The grid is too large"
    template = (
        "the grid asks for {asked} {unit}, expected at most {most}: use fewer depths, delays, "
        "replicates or days, or split it into several simulations"
    )


class NotRepeatable(DtocError):
    code = "simulation-not-repeatable"
    title = "The simulation cannot be repeated exactly"
    template = (
        "simulation {simulation_id} began with {pinned} customers and {left} are left, because "
        "people were erased: start a new simulation instead"
    )


class InvalidComparison(DtocError):
    code = "invalid-comparison"
    title = "These cannot be asked to be compared"
    template = "{field} is {value}, expected {expected}: ask again with other ids"


class NotComparable(DtocError):
    code = "simulations-not-comparable"
    title = "The simulations cannot be compared"
    template = (
        "{field} of simulation {one} is {value} and that of {other} is {against}, expected the "
        "same: totals of other people, times or currencies say nothing of each other, so simulate "
        "both campaigns on one audience, over one horizon and in one currency"
    )


class UnknownLaunch(DtocError):
    code = "unknown-launch"
    title = "There is no such launch"
    template = "there is no launch {launch_id}: take the id from GET /api/v1/ledger/"


class InvalidLaunch(DtocError):
    code = "invalid-launch"
    title = "The campaign cannot be launched like this"
    template = "{field} is {value}, expected {expected}: change it and launch again"


class SimulationNotFinished(DtocError):
    code = "simulation-not-finished"
    title = "The simulation has no result"
    template = (
        "simulation {simulation_id} is {status}, expected succeeded: only what has a forecast can "
        "be launched or compared, so wait for the result or start another simulation"
    )


class LaunchOverlaps(DtocError):
    code = "launch-overlaps"
    title = "The campaign has a launch at that time"
    template = (
        "launch {launch_id} of this campaign counts until {ends_at} and its window overlaps: "
        "another one would blur what both measure, so start later or cancel that launch first"
    )


class LaunchNotRunning(DtocError):
    code = "launch-not-running"
    title = "The launch is not running"
    template = "launch {launch_id} is {status}, expected running: {todo}"


class SettledTooEarly(DtocError):
    code = "settled-too-early"
    title = "The launch cannot be measured yet"
    template = (
        "launch {launch_id} counts what customers do until {ends_at}, and it is {at}: settle it "
        "after that"
    )

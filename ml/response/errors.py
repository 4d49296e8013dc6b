"""Errors of response models.

MlError
├── NoPriceVariation   too few items sell often enough at changing prices
├── NoOffersToLearnFrom  no offer was made to some customers and, by lot, withheld from others
└── BadResponse        a stated elasticity is no number, or below 0
"""

from ml.errors import MlError


class NoPriceVariation(MlError):
    """An elasticity needs SKUs that sell often and at more than one price."""

    code = "no-price-variation"
    template = (
        "{skus} SKUs sell at least {least_lines:g} lines a week at changing prices, expected at "
        "least {least_skus}: import more history or state an assumed elasticity"
    )


class NoOffersToLearnFrom(MlError):
    """A learned response needs past offers, and orders both with and without them."""

    code = "no-offers-to-learn-from"
    template = (
        "{launches} past discount offers have customers who were made the offer and customers who "
        "were held out, with {treated} and {control} orders while they were open, expected at "
        "least {least} in each group: launch a campaign with a hold-out and settle it, import "
        "offer_assigned events of both arms, or ask for the response elasticity or assumed"
    )


class BadResponse(MlError):
    """An assumed elasticity is a finite number of at least 0, and so is its spread."""

    code = "bad-response"
    template = "{field} is {value}, expected a finite number of at least 0: choose another value"

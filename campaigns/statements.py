"""What a result says of itself in sentences: where its uplift comes from, what is not in it."""

from typing import Any

EXACT_ZERO = (
    "A scenario of depth 0 equals the untreated twins in every replicate, so its uplift is exactly "
    "0 with the interval [0, 0]."
)
LIMITS = (
    "Revenue is what customers pay, the discount taken off. The cost of goods is that of the "
    "products known, else what the stated margin rate leaves; nothing else varies with sales.",
    "The offer holds for everything in the shop: SKU or category offers, substitution between "
    "SKUs and stock are not modelled.",
    "What an offer does ends when it closes: no stocking up, no habit, no damage to the regular "
    "price afterwards. Orders brought forward come from the twin's own rhythm only.",
    "Every customer of a replicate answers alike. Where the response was not learned, half of it "
    "works through more frequent orders and half through larger quantities: an assumption.",
    "Returns, cancellations, new customers and what competitors do are not modelled.",
    "Amounts are taken to be in the campaign's currency; nothing is converted.",
)
ASSUMED = (
    "The elasticity was stated by whoever asked, not measured: the whole uplift rests on that "
    "assumption. Untreated figures rest on the twins alone."
)
ESTIMATED = (
    "The elasticity was estimated from natural price variation in the stored purchases, not from "
    "an experiment; its standard error is part of the intervals."
)
LEARNED = (
    "The response was learned from {launches} past offers, {shallowest:.0%} to {deepest:.0%} off, "
    "of which some customers were held out by lot. Its standard errors and how much launches "
    "differ are part of the intervals; other depths are extrapolated."
)
NOT_POSITIVE = " The estimate is not above 0: most replicates take it that prices change nothing."


def learned_statement(estimate: dict[str, Any]) -> str:
    """What an uplift rests on whose response was learned."""
    shallowest, deepest = estimate["depths"]
    launches = len(estimate["launches"])
    return LEARNED.format(launches=launches, shallowest=shallowest, deepest=deepest)

"""How customers answer to a lower price: the response models of a simulation.

- ``effects``: what every response model answers; ``assumed``: the one that somebody stated
- ``elasticity``: estimated from prices that moved by themselves; ``panel``: SKU x week
- ``learned``: from past offers with a group held out; ``trials``: those offers, ``regression``:
  what each says, ``pooling``: what they say together
- ``stored``: a response model read back from JSON
"""

from ml.response.assumed import AssumedResponse
from ml.response.effects import (
    HAZARD_SHARE,
    Effects,
    Response,
    hazard_multiplier,
    quantity_multiplier,
)
from ml.response.elasticity import ElasticityEstimate, ElasticityResponse, estimate_elasticity
from ml.response.errors import BadResponse, NoOffersToLearnFrom, NoPriceVariation
from ml.response.learned import LearnedEstimate, LearnedResponse, learn_response
from ml.response.pooling import Effect
from ml.response.stored import response_from
from ml.response.trials import Trial

__all__ = [
    "HAZARD_SHARE",
    "AssumedResponse",
    "BadResponse",
    "Effect",
    "Effects",
    "ElasticityEstimate",
    "ElasticityResponse",
    "LearnedEstimate",
    "LearnedResponse",
    "NoOffersToLearnFrom",
    "NoPriceVariation",
    "Response",
    "Trial",
    "estimate_elasticity",
    "hazard_multiplier",
    "learn_response",
    "quantity_multiplier",
    "response_from",
]

"""Response models read back from JSON, such as the manifest of a simulation."""

from __future__ import annotations

from typing import Any

from ml.response.assumed import AssumedResponse
from ml.response.effects import Response
from ml.response.elasticity import ElasticityEstimate, ElasticityResponse
from ml.response.learned import LearnedEstimate, LearnedResponse


def response_from(stored: dict[str, Any]) -> Response:
    """Return the response that ``as_dict`` wrote."""
    if stored["kind"] == "assumed":
        return AssumedResponse(mean=stored["mean"], spread=stored["spread"])
    if stored["kind"] == "elasticity":
        return ElasticityResponse(estimate=ElasticityEstimate(**stored["estimate"]))
    return LearnedResponse(estimate=LearnedEstimate.of(stored["estimate"]))

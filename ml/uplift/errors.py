"""Errors of the response to offers.

MlError
├── OneArmEmpty         an experiment needs customers with the treatment and without it
├── NoEarlierWave       no offers were made before the moment of training
├── UnknownWave         no offers were made at the hour that should be forecast
├── WaveBeforeTraining  the wave that should be forecast would be learned from
└── WindowEmpty         the events end with the wave
"""

from ml.errors import MlError


class OneArmEmpty(MlError):
    """An uplift compares two groups."""

    code = "one-arm-empty"
    template = (
        "{offered} customers were offered something and {others} were not, expected some of both: "
        "choose a wave with a control group, and give the profiles of customers without offers too"
    )


class NoEarlierWave(MlError):
    """The response to an offer is learned from offers that were made before."""

    code = "no-earlier-wave"
    template = (
        "no offers were made before hour {until}, expected at least one wave: train until a later "
        "hour or give events that begin earlier"
    )


class UnknownWave(MlError):
    """A forecast is of offers that were made."""

    code = "unknown-wave"
    template = "no offers were made at hour {hour}, only at {waves}: name one of those hours"


class WaveBeforeTraining(MlError):
    """Nothing is learned from what should be forecast."""

    code = "wave-before-training"
    template = (
        "the wave at hour {wave} lies before the end of training at hour {until}, expected it at "
        "that hour or later: train until hour {wave}"
    )


class WindowEmpty(MlError):
    """What was foreseen is compared with what happened."""

    code = "window-empty"
    template = (
        "nothing is known after the wave at hour {wave}, the events end at hour {end}: choose an "
        "earlier wave or give later events"
    )

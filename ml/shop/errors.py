"""Errors of the synthetic shop.

MlError
├── BadShop        a size or share of the configuration is out of range
└── UnwritableShop the output file cannot be written
"""

from ml.errors import MlError


class BadShop(MlError):
    """A shop needs sizes and shares inside their ranges."""

    code = "bad-shop"
    template = "{field} is {value}, expected {expected}: choose another value"


class UnwritableShop(MlError):
    """The shop is written to one Parquet file in a folder that exists."""

    code = "unwritable-shop"
    template = "{path} cannot be written ({reason}): name a file in a folder you may write to"

"""Errors of the files of a back-test; inputs that cannot be computed with.

MlError
├── FileNotReadable     a file is missing, damaged, empty or of an unknown kind
├── ColumnsMissing      a file lacks columns
├── ValueNotUnderstood  a value is of no use
├── UnknownCustomers    events belong to customers without a profile
└── UnknownOffers       events name offers that are not described
"""

from ml.errors import MlError


class FileNotReadable(MlError):
    """A file that can be opened and has rows."""

    code = "backtest-file-not-readable"
    template = "{path} cannot be read: {reason}; name a Parquet, CSV or JSON-lines file with rows"


class ColumnsMissing(MlError):
    """Each of the three files has columns of its own."""

    code = "backtest-columns-missing"
    template = (
        "{path} has no column {missing}, only {found}: were the files given in another order? "
        "Events, profiles and offers each have an option of their own"
    )


class ValueNotUnderstood(MlError):
    """Values are read as they were published."""

    code = "backtest-value-not-understood"
    template = "{path}, column {column}: {value!r} was found, expected {expected}; mend the file"


class UnknownCustomers(MlError):
    """Whoever did something has a profile, even an empty one."""

    code = "backtest-unknown-customers"
    template = (
        "{path} names {count} customers that have no profile ({examples}): give the profiles of "
        "the same customers, with empty fields where nothing is known"
    )


class UnknownOffers(MlError):
    """Whatever was offered is described."""

    code = "backtest-unknown-offers"
    template = (
        "{path} names {count} offers that are not in the file of offers ({examples}): add a row "
        "with type, reward, difficulty, duration and channels for each"
    )

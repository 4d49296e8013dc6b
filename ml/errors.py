"""Errors of the mathematics.

MlError
├── UnorderedEvents    a table is not grouped by customer and ordered by time
├── EventBeforeClock   an event is older than the state that it should advance
├── UnequalColumns     the columns of a table differ in length
├── NothingToLearn     no purchase lies before the validation window
├── NoValidation       the validation window is empty or not before the cut-off
├── NothingToPredict   a split leaves nothing to learn or to ask
├── UnknownCore        a configuration names a core that is not there
├── PackageMissing     something optional is asked for and not installed
├── ExportDiffers      an exported step does not compute what the model computes
└── BrokenArtefact     the files of a model do not fit together
"""

from typing import Any, ClassVar


class MlError(ValueError):
    """An input cannot be computed with; ``code`` is stable, ``fields`` hold the facts."""

    code: ClassVar[str] = "ml-error"
    template: ClassVar[str] = "the input cannot be computed with"

    def __init__(self, **fields: Any) -> None:
        self.fields = fields
        super().__init__(self.template.format(**fields))


class UnorderedEvents(MlError):
    """Rows must be grouped by customer, and by time within a customer."""

    code = "unordered-events"
    template = (
        "row {row} comes before its predecessor, expected rows by customer and then by time: "
        "sort the table and retry"
    )


class EventBeforeClock(MlError):
    """A state only moves forward in time."""

    code = "event-before-clock"
    template = (
        "customer row {customer} has an event at {occurred_at_ms} ms, before its clock at "
        "{clock_ms} ms: fold this customer again from the first event"
    )


class UnequalColumns(MlError):
    """All columns of one table describe the same rows."""

    code = "unequal-columns"
    template = "column {column} has {length} rows, expected {expected}: build all from one source"


class NothingToLearn(MlError):
    """Training needs purchases before the validation window."""

    code = "nothing-to-learn"
    template = (
        "there are {purchases} purchases before {validation_from_ms} ms, expected at least "
        "{least}: import more history or move the validation window"
    )


class NoValidation(MlError):
    """Training needs a validation window with purchases."""

    code = "no-validation"
    template = (
        "there are {purchases} purchases to validate on in [{validation_from_ms}, {cut_off_ms}) "
        "ms, expected at least 1: move the validation window"
    )


class NothingToPredict(MlError):
    """A split needs lines before it, and after it lines of customers with an earlier one."""

    code = "nothing-to-predict"
    template = (
        "before {split_ms} ms there are {before} lines and from it on {targets} lines with an "
        "earlier one, expected at least 1 each: move the split"
    )


class UnknownCore(MlError):
    """A core is a module of ``ml.cores``."""

    code = "unknown-core"
    template = "there is no core {name}, expected one of {known}: change the configuration"


class PackageMissing(MlError):
    """An extra of the package is installed before it is used."""

    code = "package-missing"
    template = "the package {package} is not installed: pip install 'dtoc[{extra}]' and retry"


class ExportDiffers(MlError):
    """What is exported computes what the model computes."""

    code = "export-differs"
    template = (
        "the exported step differs from the model by {difference}, expected at most {tolerance}: "
        "nothing was written; try other versions of onnx, onnxscript and onnxruntime"
    )


class BrokenArtefact(MlError):
    """A model is loaded from exactly the files that were written."""

    code = "broken-artefact"
    template = "the model files are not usable: {reason}; store the files again from their source"

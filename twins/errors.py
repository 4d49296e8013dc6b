"""Errors of the twins.

DtocError
  NoActiveModel, TwinNotAdvanced
  UnknownModelVersion, ModelArtefactBroken, ModelNotBetter, ModelAlreadyActive
  TooLittleHistory, InvalidTrainingWindow, InvalidTrainingOption, TrainingInProgress
  AsOfBeforeTwin, TwinVersionNotKept
  FoldNotFinite
"""

from common.errors import DtocError


class NoActiveModel(DtocError):
    code = "no-active-model"
    title = "No model is active"
    template = (
        "there is no active model version, so there are no twins: train one with "
        "`manage.py train_twin --activate`"
    )


class TwinNotAdvanced(DtocError):
    code = "twin-not-advanced"
    title = "The twin is not there yet"
    template = (
        "customer {pseudonym} has no twin under the active model yet: start a worker of the queue "
        "`twins` and ask again, or wait with ?min_version=1&wait_ms=2000"
    )


class UnknownModelVersion(DtocError):
    code = "unknown-model-version"
    title = "There is no such model version"
    template = "there is no model version {model_id}: GET /api/v1/models/ lists them"


class ModelArtefactBroken(DtocError):
    code = "model-artefact-broken"
    title = "The files of a model version cannot be used"
    template = (
        "the files of model version {model_id} under {prefix} are not those that were stored: "
        "{reason}; restore them from a backup or activate another version"
    )


class ModelNotBetter(DtocError):
    code = "model-not-better"
    title = "The model version is not known to be as good as the active one"
    template = (
        "model version {model_id} cannot replace {active_id}: {comparison}; train on the same "
        "events and window, or give a reason for activating it all the same, which is kept: "
        '`manage.py activate_model {model_id} --reason "..."`'
    )


class ModelAlreadyActive(DtocError):
    code = "model-already-active"
    title = "The model version is active"
    template = "model version {model_id} is active already: there is nothing to do"


class TooLittleHistory(DtocError):
    code = "too-little-history"
    title = "There is too little to learn from"
    template = (
        "before {cut_off} there are {purchases} purchases of {customers} customers, of which "
        "{before_validation} purchases come before the validation window that begins at "
        "{validation_from}; expected at least {least_customers} customers and "
        "{least_purchases} purchases before it and 1 purchase in it: import more events or move "
        "--cut-off or --validation-from"
    )


class InvalidTrainingWindow(DtocError):
    code = "invalid-training-window"
    title = "The validation window is empty"
    template = (
        "the validation window begins at {validation_from}, which is not before the cut-off at "
        "{cut_off}: move one of them"
    )


class InvalidTrainingOption(DtocError):
    code = "invalid-training-option"
    title = "A training cannot be run with that"
    template = "{option} is {value}, expected {expected}: change it and retry"


class TrainingInProgress(DtocError):
    code = "training-in-progress"
    title = "The same training is running"
    template = (
        "another process on this machine is at this very training ({key}: the same events, "
        "options, cut-off and seed): wait for it, or end it and start again, which goes on from "
        "its last epoch"
    )


class AsOfBeforeTwin(DtocError):
    code = "as-of-before-twin"
    title = "The moment lies before the twin's last event"
    template = (
        "as_of is {as_of}, before the twin's last event at {clock_at}: ask for a moment at or "
        "after it"
    )


class TwinVersionNotKept(DtocError):
    code = "twin-version-not-kept"
    title = "The twin has no such version"
    template = (
        "customer {pseudonym} has no twin {asked}: versions {oldest_version} to {latest_version} "
        "can be read, the first event was recorded at {first_recorded_at}"
    )
    members = ("oldest_version", "latest_version", "first_recorded_at")


class FoldNotFinite(DtocError):
    code = "fold-not-finite"
    title = "A twin's state is not a number any more"
    template = (
        "the fold of stream {pseudonym} does not end in finite numbers: look at its last events "
        "for absurd amounts, and at the model if other streams fail too"
    )

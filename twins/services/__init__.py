"""Everything that writes twins and models, one module per verb. Importing this loads no torch."""

from twins.services.activate import activate_model
from twins.services.advance import AdvanceReport, advance, advance_all, advance_stream
from twins.services.rebuild import rebuild_states, rebuild_twins
from twins.services.train import TrainingOptions, train_model
from twins.services.verify import Difference, Verification, verify_twins

__all__ = [
    "AdvanceReport",
    "Difference",
    "TrainingOptions",
    "Verification",
    "activate_model",
    "advance",
    "advance_all",
    "advance_stream",
    "rebuild_states",
    "rebuild_twins",
    "train_model",
    "verify_twins",
]

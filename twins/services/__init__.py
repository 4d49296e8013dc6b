"""Everything that writes twins and models, one module per verb. Importing this loads no torch."""

from twins.services.activate import activate_model
from twins.services.advance import AdvanceReport, advance, advance_all, advance_stream
from twins.services.fresh import fresh_twin
from twins.services.market import count_market, count_markets
from twins.services.mend import mend_twin, mend_twins
from twins.services.rebuild import rebuild_states, rebuild_twins
from twins.services.retry import retry_parked, retry_stream
from twins.services.thin import thin_snapshots
from twins.services.train import train_model
from twins.services.verify import Difference, Verification, verify_twins
from twins.services.watch import watch_drift
from twins.training_options import TrainingOptions

__all__ = [
    "AdvanceReport",
    "Difference",
    "TrainingOptions",
    "Verification",
    "activate_model",
    "advance",
    "advance_all",
    "advance_stream",
    "count_market",
    "count_markets",
    "fresh_twin",
    "mend_twin",
    "mend_twins",
    "rebuild_states",
    "rebuild_twins",
    "retry_parked",
    "retry_stream",
    "thin_snapshots",
    "train_model",
    "verify_twins",
    "watch_drift",
]

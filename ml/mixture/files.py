"""A mixture as files, beside those of the network that it may hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from zipfile import BadZipFile

import safetensors.torch

from ml.errors import BrokenArtefact
from ml.mixture.frame import Frame, MixtureConfig, component_names
from ml.mixture.gate import Gate, GateConfig
from ml.mixture.inputs import inputs_of_gate
from ml.mixture.market import MarketConfig, Snapshot, UnreadableMarket
from ml.mixture.memory import Limits
from ml.mixture.model import Mixture
from ml.mixture.network import NETWORK_NAMES, NetworkComponents
from ml.twin import TwinModel

FRAME, MARKET = "mixture.json", "market.npz"
GATE, TOLD_GATE = "gate.safetensors", "told_gate.safetensors"
NAMES = (FRAME, GATE, MARKET, TOLD_GATE)


def to_files(mixture: Mixture) -> dict[str, bytes]:
    """Return the files of a mixture by name, without those of its network."""
    frame = mixture.frame
    described = {
        "vocabulary": frame.vocabulary,
        "countries": frame.countries,
        "config": asdict(frame.config),
        "components": mixture.names,
    }
    return {
        FRAME: json.dumps(described, sort_keys=True, allow_nan=False).encode(),
        GATE: safetensors.torch.save(mixture.gate.state_dict()),
        TOLD_GATE: safetensors.torch.save(mixture.told_gate.state_dict()),
        MARKET: mixture.market.to_bytes(),
    }


def from_files(files: Mapping[str, bytes], network: TwinModel | None = None) -> Mixture:
    """Return the mixture that ``to_files`` wrote; ``network`` is the one that it held, if any.

    Raises:
        BrokenArtefact: a file is missing or does not fit, or the network does not.
    """
    try:
        described = json.loads(files[FRAME])
        config = _config(described["config"])
        frame = Frame(tuple(described["vocabulary"]), tuple(described["countries"]), config)
        with_network = set(NETWORK_NAMES) <= set(described["components"])
        held = NetworkComponents(network, frame.vocabulary) if network and with_network else None
        if list(component_names(held)) != described["components"]:
            raise BrokenArtefact(reason="the mixture was fitted with other components")
        gates = [_gate(files[name], frame, held, told=name == TOLD_GATE) for name in _GATES]
        market = Snapshot.from_bytes(files[MARKET])
    except _UNREADABLE as error:
        raise BrokenArtefact(reason=str(error).splitlines()[0]) from error
    return Mixture(frame=frame, gate=gates[0], told_gate=gates[1], market=market, network=held)


_GATES = (GATE, TOLD_GATE)
_UNREADABLE = (
    ValueError, TypeError, KeyError, RuntimeError, BadZipFile, UnreadableMarket,
    safetensors.SafetensorError,
)  # fmt: skip


def _gate(data: bytes, frame: Frame, network: NetworkComponents | None, *, told: bool) -> Gate:
    components = len(component_names(network))
    size = inputs_of_gate(components, len(frame.countries), told=told)
    gate = Gate(size, components, frame.config.gate)
    gate.load_state_dict(safetensors.torch.load(bytes(data)))
    return gate.eval()


def _config(stored: dict[str, object]) -> MixtureConfig:
    parts = {"limits": Limits, "gate": GateConfig, "market": MarketConfig}
    made = {name: kind(**stored[name]) for name, kind in parts.items()}  # type: ignore[arg-type]
    return MixtureConfig(**{**stored, **made})

"""Who is offered what: waves at fixed distances, members and arms by lot."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.shop.agents import Agents
from ml.shop.config import ShopConfig
from ml.shop.draws import Floats, Integers, Purpose, uniform

OFFER_DEPTHS = (0.10, 0.20, 0.30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """One offer: ``depth`` off everything on the days [start_day, end_day) for the treated."""

    number: int  # from 1
    start_day: int
    end_day: int
    depth: float
    members: Integers  # customers, both arms
    treated: NDArray[np.bool_]  # one per member

    @property
    def campaign_id(self) -> str:
        """Return the name of the campaign."""
        return f"WAVE-{self.number:03d}"

    @property
    def offer_id(self) -> str:
        """Return the name of the offer; another one in each wave."""
        return f"OFFER-{self.number:03d}-{round(100 * self.depth):02d}"

    def depths(self, customers: int) -> Floats:
        """Return the share off for each customer while the wave is open."""
        depths = np.zeros(customers)
        depths[self.members[self.treated]] = self.depth
        return depths


def wave_starting(config: ShopConfig, agents: Agents, day: int) -> Wave | None:
    """Return the wave that starts on ``day``; the first one starts after one full interval.

    Members are drawn among all who have joined: a shop does not see who has dropped out.
    """
    every = config.wave_every_days
    if every == 0 or day == 0 or day % every:
        return None
    number = day // every
    joined = np.flatnonzero(agents.joined_day <= day)
    lot = uniform(config.seed, joined, number, Purpose.WAVE_MEMBER)
    members = joined[lot < config.wave_share]
    which = float(uniform(config.seed, np.array([number]), 0, Purpose.WAVE_DEPTH)[0])
    return Wave(
        number=number,
        start_day=day,
        end_day=day + config.offer_days,
        depth=OFFER_DEPTHS[int(which * len(OFFER_DEPTHS))],
        members=members,
        treated=uniform(config.seed, members, number, Purpose.WAVE_ARM) < 0.5,
    )

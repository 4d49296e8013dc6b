"""The response to offers, learned from waves of offers with a control group.

- ``journal``: customers, offers and events; ``panel``: steps of six hours before a wave, and who
  holds which offer; ``traits``: people and offers as numbers
- ``views``, ``purchases``, ``amounts``: the parts of the model; ``fitting``: how they are fitted
- ``history`` and ``model``: what is learned, from what, and how surely; ``forecast``: a wave
- ``metrics``, ``calibration``, ``intervals``: what a forecast of uplift is worth
- ``simple``, ``ranking``, ``comparison``, ``backtest``: a wave as foreseen, beside rules of thumb
  and what was measured
"""

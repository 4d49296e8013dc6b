"""The rhythm of a shop: when orders come, how many, and what they are worth.

- ``days``, ``clock``, ``spells``: purchase days, operational time, and what is asked of them
- ``statistics``: what is remembered of a customer's purchase days, folded event by event
- ``law``: the hazard of the next order, the same formula on arrays and on tensors
- ``fit``: how it is learned; ``likelihood``: how probable what happened was under it
- ``counts``, ``regression``, ``posterior``, ``sizes``: purchase days ahead, spend, size of an order
- ``drift``: how the whole shop's level moves; ``draws``: the next orders of a rollout, on tensors
- ``model``: all of it as one object, learned from events

Whoever reads predictions needs ``law``, ``counts`` and ``statistics``, which load neither torch nor
scipy.
"""

"""The next basket: a prior that is hard to beat, and a small linear correction.

- ``memory``: what a customer is remembered by, folded order by order
- ``market``: what all customers do, one state per day
- ``features``: numbers for (customer, item), and which items are candidates
- ``history``: the fold of a whole shop, order by order, never looking ahead
- ``model``: the linear listwise model, ``fit`` and ``score``
- ``likeness``: which items stand in the same orders

Items are numbers from 0; nothing here knows their names.
"""

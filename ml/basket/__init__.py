"""The next basket: a prior that is hard to beat, and a small linear correction.

It reads the memories and the market of ``ml.mixture``; nothing is folded for it alone.

- ``known``: what a memory knows of a customer's orders, as arrays
- ``shelf``: what the market says of every item
- ``features``: numbers for (customer, item), and which items are candidates
- ``walk``: whole histories, what was known before each order, never looking ahead
- ``model``: the linear listwise model, ``fit``, ``score`` and ``best``
- ``chances``: from scores to probabilities
- ``foretold``: the lists of many customers, as names

Items are rows of the mixture's vocabulary.
"""

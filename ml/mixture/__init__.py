"""The next item as a mixture: counters that are folded as events come, weighed by a gate.

- ``lines``: purchase lines as columns of numbers
- ``market``: what all customers do together, one immutable, numbered snapshot per day
- ``days`` and ``demand``: what one day counted, and how often each item is ordered
- ``memory``: what is remembered of one customer, bounded, as compact bytes
- ``components``: the distributions that are mixed, whole or at one item
- ``fold``: memories over events, each day against the snapshot of the midnight before
- ``gate``: the network that weighs the components
- ``model``: the whole, fitted from events

A prediction is a function of a memory, the snapshot of the day before and the model. Nothing here
reads lines of the day that is predicted, other than the customer's own earlier ones.
"""

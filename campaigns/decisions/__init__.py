"""The next best action for one customer: what may be offered, what it is worth, what is chosen.

- ``look``: what the rules need to know, read in one round trip behind the customer's lock
- ``effects``: what an offer does to a customer's orders
- ``shelf``: what the products that matter cost, and whether they are there
- ``scoring``: the expected margin that an offer adds on the twin
- ``rules``: what rules everything out, and what rules out a single offer
- ``choosing``: the verdict
- ``words``: its reasons
- ``documents``: what is stored of it and answered; ``selectors``: reading that again
"""

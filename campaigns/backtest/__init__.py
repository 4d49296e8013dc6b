"""Replaying a past campaign: was what would have been foreseen what happened?

- ``files``: the three files of a rewards-app test
- ``report`` and ``words``: tables, JSON, notes

The model and the measures are in ``ml.uplift``.
"""

"""Speed as a ratio: each benchmark measures a path and the raw limit of the same machine at once.

``python -m benchmarks NAME`` runs one, ``python -m benchmarks all`` every one.
"""

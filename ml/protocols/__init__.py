"""The honest evaluation: protocols A to D, every baseline, and the thesis' own protocol.

- ``data``: purchase lines of a shop, cleaned; what all protocols read
- ``next_line``: protocol A, its split, targets and scorer; ``next_line_parts``,
  ``next_line_methods`` and ``next_line_networks``: the baselines
- ``next_basket`` and ``next_basket_methods``: protocol B; the twin's ranking is in ``ml.basket``
- ``timing`` and ``timing_models``: protocol C; what knows customers is in ``ml.rhythm``
- ``futures``: protocol D
- ``twin``: the twin's own model, trained before the split, under A, C and D
- ``run_next_line``, ``run_next_basket``, ``run_timing``, ``run_futures``: one report each;
  ``tables``: from figures to tables
- ``thesis``, ``thesis_network``, ``thesis_rules``: the thesis' in-sample protocol with its
  controls, a warning and no figure of quality

Nothing that was measured after the split moves a method: tuning sees the validation window only.
"""

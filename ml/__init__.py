"""The mathematics of the twin: numbers in, numbers out.

Nothing here imports Django or an app, reads a clock or touches a global seed, so every result
depends on its arguments alone.

- ``events``: the table of events that everything reads
- ``states``: what a twin remembers, and its bytes
- ``encoding``: dictionaries, and what was known at the moment of each event
- ``core``, ``heads``, ``twin``: the model; ``forecast``: what it predicts, as plain numbers
- ``rhythm``: when orders come, how many and what they are worth; ``timing``: that as predictions
- ``targets``, ``lanes``, ``losses``, ``training``: how a model is learned
- ``baselines``, ``metrics``, ``evaluation``: how good it is, beside what a simple rule reaches
- ``protocols``: the same on time-ordered splits of public data, every known rule beside it
- ``basket``: the ranking of the next basket
- ``mixture``: the next item as a gated mixture of folded components; not in use yet
- ``why``: what each part of a model contributed to a prediction
- ``artefacts``: a model as files

``events``, ``states``, ``encoding``, ``forecast`` and ``timing`` import no torch, so a web process
can answer from stored numbers without loading it.
"""

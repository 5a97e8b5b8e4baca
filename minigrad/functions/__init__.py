"""`mg.function`: Python code traced into graphs, which run as plans.

* `signature`: what tells one trace from another.
* `outputs`: from the values of a run to what the Python function returned.
* `piece`: a part of a graph that runs at once, and the way back through it.
* `trace`: one tracing of the Python function.
* `history`: how often a function was traced, and the warning that it is too often.
* `api`: `function` itself.
"""

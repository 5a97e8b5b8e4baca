"""`mg.function`: Python code traced into graphs, which run as plans.

* `signature`: what tells one trace from another.
* `outputs`: from the values of a run to what the Python function returned.
* `piece`: a part of a graph that runs at once, and the way back through it; `keeping`: what is kept
  for that; `runs`: how a plan of it is run.
* `trace`: one tracing of the Python function; `traces`: those of one function; `history`: how many
  there were, and the warning that there are too many.
* `input_signature`: what arguments are brought to before they are looked at.
* `api`: `function` itself.
"""

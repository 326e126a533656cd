"""Pellucid beside its peers: the same training and the same prediction, timed in one run.

``make bench`` runs everything; ``python -m benchmarks --help`` has the parts. `workloads.py` says
what is measured, `peers/` how each library does it at its best, `race.py` how the times are taken,
and `report.py` makes docs/performance.md of the results.
"""

"""Replays the trace of a batch system through a scheduler, and measures what came of it.

Invariants: pure but for `report` and `plot`, which draw: no clock, no files, no network; the same trace and scheduler
give the same runs. Times are seconds since the trace's own beginning, CPU is whole processors, as in traces.
"""

"""Faults by the thousand: a workload of every kind of job runs while faults strike, and an outside observer counts."""

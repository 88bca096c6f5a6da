"""Instances in groups that AWS keeps at a size: Auto Scaling groups, and those behind EKS managed node groups."""

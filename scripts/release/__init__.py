"""Makes what a release consists of: wheel, chart, kubectl plugin for krew, image, list of components, checksums.

Development time only. Invariants: everything is made from the checkout and its lock file, nothing is published; the
same checkout gives the same bytes of plugin, manifest and list of components, and dist/ has nothing of an earlier run.
"""

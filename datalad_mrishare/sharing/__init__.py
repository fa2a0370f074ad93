"""Policies, verdicts, plans, and the one door through which data leaves.

``policies``    what a sibling would do with the data, as a point in the lattice
``clearance``   how clean a file is
``verdicts``    permit or deny, for each file and one sibling
``plans``       units to send, keep, defer, take back; bytes against room
``releases``    the tree of a release: tables by row, no trace of what is withheld
``publishing``  the phases in order
``siblings``    declaring, moving, locking, reopening
``events``      the record of what was done
"""

"""Whose data a content is, and how well that is known.

``bids``          what a BIDS path says
``participants``  the participants that a path names
``evidence``      how well it is known what a content was made from
``activities``    what was done: contents in, contents out
``graph``         the lineage: what was made from what, and whom it therefore holds
``components``    circles in it
``records``       DataLad's run records: parsing them
``inputs``        their inputs, looked up in the tree that a run started from
``recorded``      all that the history of one dataset says
``assertions``    what BIDS metadata asserts; ``asserted`` reads it from a tree
``statements``    what stewards state
``sidecars``      text that is the same for several; ``together`` finds who has it at once
``same``          names of one content; ``again`` finds files that were added again
``kept``          what was read, kept for the next time
``reading``       all of it together: read the lineage of a dataset
"""

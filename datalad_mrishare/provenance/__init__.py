"""Whose data a content is, and how well that is known.

``bids``          what a BIDS path says
``participants``  the participants that a path names
``evidence``      how well it is known what a content was made from
``activities``    what was done: contents in, contents out
``graph``         the lineage: what was made from what, and whom it therefore holds
``components``    circles in it
"""

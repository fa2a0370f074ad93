"""From what a steward has to a registered dataset.

``bids``      names: entities, suffix, datatype of a path, and whether BIDS knows it
``headers``   what a NIfTI header says, from its first bytes
``register``  a BIDS tree becomes a registered dataset, in place or as a copy
"""

"""From what a steward has to a registered dataset.

``register``   the entry: in place, as a copy of a folder, as a clone of a repository
``inplace``    look, set up, add, commit, index, record
``inventory``  what lies in a directory, without following or opening anything
``census``     files, keys, headers and findings, before and after
``bids``       whether a tree is BIDS, and what in it is not
``headers``    what a NIfTI header says, and whether the image behind it is complete
``fields``     names and headers as ``mri-*`` metadata of annex keys
``layout``     what makes a folder a dataset of ours: rules and identity
``copying``    a folder file by file; ``cloning``: a repository with the content it has
``place``      where a dataset may be, and marks of an unfinished run
``undo``       putting everything back
``findings``   the kinds of findings; ``wording``: a report in one sentence
"""

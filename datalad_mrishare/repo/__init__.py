"""The only floor that talks to git and git-annex.

Bulk work goes through batch modes and plumbing, a handful of processes per
command whatever the number of files. Nothing here decides anything.

``process``      start git and git-annex, read and feed them
``keys``         names, sizes and places of annex keys
``trees``        what a commit holds, and making another tree from it
``annexbranch``  locations and metadata in the git-annex branch, read and written in bulk
``worktree``     the steward's own checkout: add, commit, undo
``ingest``       taking files into a repository without running what it contains
``events``       the record of what was done
``history``      every path that any commit ever gave to a key
``commits``      every commit, and what each changed
``contents``     which content each blob is
``treewalk``     paths and patterns, looked up in trees of any commit
``computed``     what compute remotes made
``installed``    where a dataset's halves and its subdatasets are
``signed``       what is kept and decides, signed
``gates``        locking remotes and opening them again
``locks``        one command at a time
"""

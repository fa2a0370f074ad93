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
``history``      commits and files at a commit (GitPython)
``gates``        locking remotes and opening them again
``locks``        one command at a time
"""

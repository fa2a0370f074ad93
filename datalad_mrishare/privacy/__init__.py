"""What must not leave: checks on single files, pure.

``commands``  what may be told of a command and of software
``fields``    the closed list of sidecar keys and table columns that count as deidentified
``needles``   secrets looked for in bytes, whatever they are packed in
"""

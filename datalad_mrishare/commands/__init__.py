"""One file a command: parameters, result records, rendering. Nothing here decides.

Only this floor knows DataLad. Each command turns the reports of the floors below
into result records and their errors into records with a remedy.
"""

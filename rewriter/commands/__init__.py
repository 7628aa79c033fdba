"""The commands, a file for each family: arguments in, one call, printed result, exit code. They hold no decisions.

Only click is imported here; everything else is imported by the command that needs it, so that --help stays quick.
"""

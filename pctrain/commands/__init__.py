"""The commands of ``pctrain``. Everything heavy is imported by the command that needs it."""

"""The commands of ``pcdata``. Everything heavy is imported by the command that needs it."""

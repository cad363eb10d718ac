"""The commands of ``pcdata``. Each imports heavy modules only when it runs."""

"""The commands of ``pctrain``. Each imports heavy modules only when it runs."""

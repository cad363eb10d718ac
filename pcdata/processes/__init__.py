"""Child processes: where they find modules, and how to contain work that may kill them."""

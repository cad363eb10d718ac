"""Raw bytes ↔ symbols and units. One file per codec; ``base`` defines a codec and finds it by name."""

"""Raw bytes ↔ symbols and units. One file per codec; ``base`` says what a codec is and finds it by name."""

"""Train byte-level language models on the datasets that pcdata builds."""

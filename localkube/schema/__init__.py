"""What built-in objects look like: field types and list semantics, generated or tabled; no behaviour."""

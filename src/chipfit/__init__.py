"""chipfit."""

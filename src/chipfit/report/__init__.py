"""What chipfit reports, and how it is shown."""

"""Fewer channels: which can go together, which matter least, how many, and the graph without them."""

"""Float graphs that learn: a Keras model made of a graph, operator by operator, and what it learned put back."""

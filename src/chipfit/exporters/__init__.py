"""Writers of foreign model formats: a graph in, bytes out."""

from chipfit.exporters.tflite import to_tflite

__all__ = ["to_tflite"]

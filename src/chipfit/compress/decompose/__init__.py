"""Layers taken apart into smaller ones that together do nearly the same."""

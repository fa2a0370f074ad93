"""Whose data a content is.

``participants``  the participants that a path names
"""

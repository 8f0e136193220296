"""Exploring: many configurations of one model, which of them are best, and how good any could be."""

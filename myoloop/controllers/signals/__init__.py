"""Filters, features and windows."""

"""Recipes: one small file a system, validated before anything is loaded."""

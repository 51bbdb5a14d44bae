"""A recorded session to look back at: any stretch of it at any zoom, what was decided, what else could be."""

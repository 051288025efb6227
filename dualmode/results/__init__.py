"""Results: error rates, alignments, the table of a recipe, where its numbers come from, and its figures.

Nothing here needs torch or ESPnet; matplotlib is imported only when a figure is drawn.
"""

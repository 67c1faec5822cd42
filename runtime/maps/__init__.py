"""Maps: the scores of windows as explanations, heat maps and pictures, and how close two maps are."""

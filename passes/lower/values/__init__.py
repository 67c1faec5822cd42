"""T' itself on boxes, where a delta loses digits: what is ill-conditioned, and how it is computed."""

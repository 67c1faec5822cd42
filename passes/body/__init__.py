"""Body: what happens to the incremental body as a whole: thresholds, boxes, fusion, the Scan."""

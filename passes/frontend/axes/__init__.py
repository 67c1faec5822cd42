"""Which axis of the image is which: traced from the image to what reads it, and what is moved on the way."""

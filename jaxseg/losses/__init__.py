"""Numbers in, one number out."""

"""From files to batches. Only numpy here: worker processes import it, and they must touch no device."""

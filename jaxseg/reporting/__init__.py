"""What people look at: log, pictures, curves and tables."""

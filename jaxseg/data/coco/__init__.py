"""COCO's formats: annotation files, classes and run-length codes."""

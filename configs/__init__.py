"""One page per experiment; installed as ``jaxseg.configs``."""

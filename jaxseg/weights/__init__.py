"""Other frameworks' weights into jaxseg's variables, and back."""

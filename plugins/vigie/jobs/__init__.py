"""One use case a module: what the README says in a sentence."""

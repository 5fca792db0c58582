"""A run that is over, as a trace: `tree.build` puts it together, the other modules are its parts."""

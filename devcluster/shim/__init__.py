"""kind's command line over clusters of our own, for programs that only know kind."""

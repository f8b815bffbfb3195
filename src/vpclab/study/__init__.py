"""The study: W1 to W28 of the walkthrough, as a tour for a person and as a check. Steps are data, in `steps/`."""

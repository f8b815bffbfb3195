"""The demonstration: every line is measured when it is printed."""

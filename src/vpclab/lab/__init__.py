"""The lab as a whole: its daemon, how it is started and ended, and what one asks of it."""

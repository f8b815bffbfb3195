"""One instance of the lab: its boot, the real agent, and a runtime that calls CNI plugins as libcni does."""

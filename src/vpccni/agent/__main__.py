"""`python -m vpccni.agent`."""

from vpccni.agent.main import main

main()

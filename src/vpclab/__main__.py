"""`python -m vpclab`: the vpc-lab command."""

from vpclab.cli import main

main()

"""`vpc-cni pods`: each pod's address, ENI, veth and way on the host, and what of it is not as it should be."""

"""`vpc-cni trace`: the way of a packet, step by step, and the source address that its far end will see."""

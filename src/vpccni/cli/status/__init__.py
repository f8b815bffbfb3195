"""`vpc-cni status`: what the node's pool has, wants and waits for."""

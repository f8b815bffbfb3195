"""`vpc-cni explain`: why a pod has no address, what the node's pool has decided and why, how full a subnet is."""
